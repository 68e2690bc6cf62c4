"""Lakes with one invalid change, and commands that read them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from support.hostile_cases import files, lake_tricks
from support.hostile_cases.case import Ask, Setting, command
from support.hostile_cases.good import LATER, RUN
from support.hostile_cases.statements import answered

PREFIXES = (
    "artifacts/**/*",
    "runs/**/*",
    "catalog/**/*",
    "refs/**/*",
    "queues/**/*",
    "releases/**/*",
    "fingerprints/**/*",
)
FOLDERS = ("artifacts", "runs", "catalog", "refs", "queues", "releases", "catalog/*", "catalog/*/_delta_log", "runs/*",
           "refs/*", "artifacts/*", "artifacts/*/*")  # fmt: skip


def make(at: Setting) -> tuple[str, Ask]:
    """Change one thing in a copy of the valid lake, and draw a command."""
    lake = at.folder / "lake"
    subprocess.run(["cp", "-a", at.good.lake, lake], check=True, close_fds=False)
    way = at.draw.choices((_file, _json, _folder, lake_tricks.trick), (30, 35, 8, 27))[0]
    story = way(at, lake)
    return story, draw_command(at, lake, story)


def _file(at: Setting, lake: Path) -> str:
    path = at.draw.choice(files.ordered(lake, at.draw.choice(PREFIXES)))
    return f"{path.parent.relative_to(lake)}/{files.spoil(path, at.draw, at.outside)}"


def _json(at: Setting, lake: Path) -> str:
    pattern = at.draw.choice(("**/manifest.json", "runs/**/*.json", "**/_delta_log/*.json", "refs/*/*.json",
                              "queues/*/*.json", "releases/*/*.json", "fingerprints/*.json"))  # fmt: skip
    path = at.draw.choice(files.ordered(lake, pattern))
    return f"{path.relative_to(lake)}: {files.json_changed(path, at.draw, at.outside)}"


def _folder(at: Setting, lake: Path) -> str:
    folders = sorted(path for path in lake.glob(at.draw.choice(FOLDERS)) if path.is_dir())
    return files.replaced(at.draw.choice(folders), at.draw, at.outside)


def draw_command(at: Setting, lake: Path, story: str) -> Ask:
    """Draw a command: cheap ones often, and mostly those that read the changed part."""
    ways = [(way, weight) for way, weight, parts in WAYS if any(part in story for part in parts)]
    if not ways or at.draw.random() < 0.4:
        ways = [(way, weight) for way, weight, _ in WAYS]
    return at.draw.choices([way for way, _ in ways], [weight for _, weight in ways])[0](at, lake)


def artifact(at: Setting, lake: Path) -> str:
    """The id prefix of an artifact, mostly of the changed one."""
    good = sorted(path.name for path in at.good.lake.glob("artifacts/*/*"))
    if at.draw.random() < 0.7:
        good = [name for name in good if _state(lake, name) != _state(at.good.lake, name)] or good
    return at.draw.choice(good)[:12]


def _state(lake: Path, name: str) -> object:
    """The names, types and times of an artifact's files."""
    folder = lake / "artifacts" / name[:2] / name
    if not folder.is_dir() or folder.is_symlink():
        return None
    found = [(path.name, path.is_file(), path.is_symlink(), path.lstat().st_mtime_ns) for path in folder.iterdir()]
    return sorted(found)


def run(at: Setting, lake: Path) -> str:
    del lake
    return at.draw.choice(("last", "tiny", RUN, RUN, LATER, RUN[:8]))


def _arguments(at: Setting, lake: Path, words: tuple[str, ...]) -> list[str]:
    """The words with a run and an artifact drawn for the placeholders RUN and ARTIFACT."""
    draws = {"RUN": run, "ARTIFACT": artifact}
    return [draws[word](at, lake) if word in draws else word for word in words]


def _read(*words: str, finds: bool = False) -> Callable[[Setting, Path], Ask]:
    def ask(at: Setting, lake: Path) -> Ask:
        arguments = _arguments(at, lake, words)
        return command(*arguments, "--lake", lake, *(["--json"] if at.draw.random() < 0.3 else []), finds=finds)

    return ask


def _out(*words: str, option: str = "--out") -> Callable[[Setting, Path], Ask]:
    def ask(at: Setting, lake: Path) -> Ask:
        return command(*_arguments(at, lake, words), option, at.folder / "out.file", "--lake", lake)

    return ask


def _withdraw(at: Setting, lake: Path) -> Ask:
    what = at.draw.choice(("0", "request:1", "document:d3", f"artifact:{artifact(at, lake)}", artifact(at, lake)))
    return command("impact", "--withdraw", what, "--lake", lake)


def _close(at: Setting, lake: Path) -> Ask:
    """The first step of every run: mark crashed runs."""
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.records.runs import Runs

    del at
    return command("run (its first step)", "--lake", lake, call=lambda: Runs(Lake.open(lake).files).mark_crashed())


def _run(at: Setting, lake: Path) -> Ask:
    """A whole run of the stages without Prefect; almost all artifacts exist already."""
    return command("run (its stages)", at.good.spec, "--lake", lake, call=lambda: directly(at.good.spec, lake))


def directly(spec: Path, lake: Path) -> None:
    """Run a spec as `editflow run` does, without Prefect."""
    from editflow.flows.edit_model import edit
    from editflow.flows.pipeline.tracked_run import run_tracked, with_retry
    from editflow.flows.spec.loading import load_spec
    from editflow.storage.artifacts.store import Lake
    from support.tiny_world import DirectPipeline

    run_tracked(load_spec(spec), Lake.open(lake), str(spec), lambda _use, _ref: None, with_retry(edit), DirectPipeline)


def _plan(at: Setting, lake: Path) -> Ask:
    return command("plan", at.good.spec, "--lake", lake)


def _submit(at: Setting, lake: Path) -> Ask:
    return command("submit", at.good.facts / "flat.jsonl", "--lake", lake)


def _diff(at: Setting, lake: Path) -> Ask:
    return command("diff", RUN, at.draw.choice(("last", LATER, "current", "current@1")), "--lake", lake)


def _query(at: Setting, lake: Path) -> Ask:
    sql = at.draw.choice((
        "SELECT * FROM artifacts", "SELECT * FROM runs", "SELECT * FROM uses", "SELECT * FROM edges",
        "SELECT * FROM requests",
        "SELECT * FROM evaluations", "SELECT * FROM states", "SELECT * FROM spectra", "FROM corpus",
        f"FROM upstream('{artifact(at, lake)}')",
    ))  # fmt: skip
    if at.draw.random() < 0.1:  # like the command, in its own process
        return command("query", sql, "--lake", lake, "--json")
    return command("query", sql, "--lake", lake, call=lambda: answered(lake, sql))


RUNS, MADE = ("runs", "dead run", "leads to", "record"), ("artifacts", "manifest", "leads to", " with ", "fingerprints")
MOVES, INDEX, LINKS = ("refs", "queues", "releases"), ("catalog", "log", "index"), ("link", "/: ", "is there")
"""Words of a case's description that tell which part was changed."""
WAYS: tuple[tuple[Callable[[Setting, Path], Ask], float, tuple[str, ...]], ...] = (
    (_read("runs"), 12, RUNS), (_read("show", "RUN"), 12, RUNS), (_close, 8, RUNS), (_run, 2.5, (*MADE, "Prefect")),
    (_query, 4, (*INDEX, *MADE)), (_read("queue"), 4, MOVES), (_read("releases"), 4, MOVES),
    (_read("lineage", "ARTIFACT"), 8, MADE), (_read("lineage", "ARTIFACT", "--down"), 3, (*MADE, *INDEX)),
    (_read("lineage", "tiny"), 2, (*MOVES, *RUNS)), (_read("lineage", "ARTIFACT", "--sources"), 2, MADE),
    (_out("lineage", "ARTIFACT", option="--html"), 2, MADE), (_read("verify", finds=True), 4, (*MOVES, *INDEX, *LINKS)),
    (_read("verify", "RUN", finds=True), 3, (*RUNS, *MADE)), (_read("verify", "ARTIFACT", finds=True), 3, MADE),
    (_read("verify", "--rebuild", finds=True), 1.5, (*INDEX, *RUNS)), (_read("scores", "RUN"), 1, (*RUNS, *MADE)),
    (_diff, 4, (*RUNS, *MOVES)), (_read("gc"), 1, LINKS), (_read("gc", "--delete"), 1.5, (*LINKS, *MADE, *INDEX)),
    (_read("gc", "--delete", "--keep-days", "1"), 1, (*LINKS, *MADE, *RUNS)),
    (_read("gc", "--delete", "--keep-runs", "1"), 1, (*LINKS, *MADE, *MOVES)),
    (_out("report", "RUN"), 2, (*RUNS, *MADE)),
    (_out("export-run", "RUN"), 7, (*RUNS, *MADE)), (_out("export-run", "RUN", "--openlineage"), 2, (*RUNS, *MADE)),
    (_submit, 3, MOVES), (_withdraw, 4, (*INDEX, *MADE)), (_plan, 0.5, MADE), (_read("doctor", finds=True), 0.7, RUNS),
    (_read("rollback", "0"), 2, MOVES),
)  # fmt: skip
