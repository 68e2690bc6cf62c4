"""Specs with one invalid change, and invalid settings."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w

from support.hostile_cases import files
from support.hostile_cases.case import Ask, Setting, command
from support.hostile_cases.values import RAW, changed

SPECS = Path(__file__).parents[3] / "specs"
LINES = (
    "a" + ".a" * 20_000 + " = 1", "x = " + "[" * 2_000 + "]" * 2_000, "x = " + "{a=" * 500 + "1" + "}" * 500,
    'name = "tiny"\nname = "tiny"', "[model]\n[model]", "[[requests]]", "threads = 1e3", 'threads = "1"',
    "threads = true",
    "threads = 99999999999999999999", "threads = 0x10", "threads = nan", "threads = 1979-05-27T07:32:00Z",
    "seeds = [1, 1]",
    "seeds = [" + "1," * 50_000 + "]", '"" = 1', "'a\\u0000' = 1", "\x00", "\x7f = 1", "name = '''\n'''", "\ufeff",
    "= 1",
    "[model]\ndevice = 'meta'", "[model]\ndevice = 'cuda:99'", "[corpus]\npartitions = 1000000000",
    "[edit]\nlayers = [0, -1]",
    "[target_values]\nsteps = 1000000000000", "[requests]\nsource = 'x\\u0000y'", "[requests]\nsource = '~nobody/x'",
    "[requests]\nsource = 'queue:../../x'", "[requests]\nsource = 'hub:'", "[requests]\nsource = '/dev/null'", "\r",
    "x = '\u202e'",
    "[[variants]]\nname = '../../x'", "[[variants]]\nname = 'a'\n[[variants]]\nname = 'a'", "[variants]\na = 1",
    "variants = 5",
)  # fmt: skip
SETTINGS = (
    "", "=", "a", "a=", "=1", "edit.batch_size=3\nname=\"x\"", "edit.batch_size=[", "edit.batch_size=\x00", "edit=1",
    "edit.x.y=1",
    "edit.batch_size.x=1", "a" + ".a" * 20_000 + "=1", "threads=" + "9" * 6_000, "name=" + "x" * 100_000,
    "name='../../x'",
    "threads=1979-05-27", "model={}", "model=[]", "model.source=", "requests.count=1e3", "requests.count=nan",
    "seeds=[[]]",
    "edit.layers=" + "[" * 3_000 + "]" * 3_000, "corpus.partitions=1000000000", "..=1", "edit..layers=1",
    "model.device='cuda:99'",
    "model.dtype='float7'", "\ud7ff=1", "variants=[{name='a'}]", "__class__=1", "edit.__class__=1",
    "name=\"\"\"x\ny\"\"\"",
)  # fmt: skip


def make(at: Setting) -> tuple[str, Ask]:
    """Change one thing in a spec, or pass an invalid setting, and draw a command."""
    found = [at.good.spec, at.good.world.spec, *sorted(SPECS.rglob("*.toml"))]
    good = at.draw.choice(found[:2] if at.draw.random() < 0.5 else found)
    spec = at.folder / "spec.toml"
    shutil.copyfile(good, spec)
    way: Callable[[Setting, Path], str] = at.draw.choices((_tree, _line, _file, _setting), (50, 20, 18, 12))[0]
    settings = [at.draw.choice(SETTINGS)] if way is _setting else []
    return f"{good.name}: {way(at, spec)}", _draw_command(at, spec, settings)


def _tree(at: Setting, spec: Path) -> str:
    tree, what = changed(tomllib.loads(spec.read_text(encoding="utf-8")), at.draw, at.outside)
    try:
        text = tomli_w.dumps(_without_none(tree))
    except (TypeError, ValueError, AttributeError):
        text = f"x = {tree!r}"
    for mark, raw in RAW.items():
        text = text.replace(f'"{mark}"', raw)
    spec.write_text(text, encoding="utf-8", errors="surrogatepass")
    return what


def _without_none(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return [_without_none(value) for value in tree if value is not None] if isinstance(tree, list) else tree


def _line(at: Setting, spec: Path) -> str:
    line, text = at.draw.choice(LINES), spec.read_text(encoding="utf-8")
    spec.write_text(f"{line}\n{text}" if at.draw.random() < 0.5 else f"{text}\n{line}\n", encoding="utf-8")
    return f"a line more: {line[:60]!a}"


def _file(at: Setting, spec: Path) -> str:
    if at.draw.random() < 0.2:
        spec.unlink()
        spec.symlink_to(
            at.draw.choice(("/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/proc/kmsg", "/dev/tty"))
        )
        return f"a link to {spec.readlink()}"
    return files.spoil(spec, at.draw, at.outside)


def _setting(at: Setting, spec: Path) -> str:
    del at, spec
    return "as it is"


def _draw_command(at: Setting, spec: Path, settings: list[str]) -> Ask:
    """Read the spec as the commands do; sometimes run `plan`."""
    words = [word for setting in settings for word in ("--set", setting)]
    lake = at.folder / "lake"
    which = at.draw.random()
    if which < 0.2:
        return command("plan", spec, "--lake", lake, *words, keeps=(spec,))
    if which < 0.35:
        return command("compare (its reading)", spec, *words, call=lambda: _contenders(spec, settings), keeps=(spec,))
    if which < 0.4:
        return command("apply (its reading)", spec, *words, call=lambda: _served(spec, settings), keeps=(spec,))
    return command("run (its reading)", spec, *words, call=lambda: _loaded(spec, settings), keeps=(spec,))


def _loaded(spec: Path, settings: list[str]) -> None:
    from editflow.flows.spec.loading import load_spec

    load_spec(spec, settings)


def _served(spec: Path, settings: list[str]) -> None:
    from editflow.flows.spec.loading import load_queue_spec

    load_queue_spec(spec, settings)


def _contenders(spec: Path, settings: list[str]) -> None:
    from editflow.flows.spec.variants import read_contenders

    read_contenders([spec], settings, None)
