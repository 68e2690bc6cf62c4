"""A spec is a small regular file with one value under each key, each of its own kind and within bounds."""

from __future__ import annotations

import json
import os
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny_world import World

from editflow.flows.console.errors import BadSpec, UsageError
from editflow.flows.console.input_files import MAX_BYTES
from editflow.flows.orchestration.deployment_file import check
from editflow.flows.spec.loading import load_shared_spec, load_spec
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.toml_text import read_toml_text
from editflow.flows.spec.typed_settings import as_setting
from editflow.flows.spec.variants import read_contenders

ROOT = Path(__file__).parents[3]
Reader = Callable[[Path], object]
READERS: dict[str, Reader] = {
    "a run's": load_spec,
    "a comparison's": lambda path: read_contenders([path]),
    "deployments": check,
}


def pipe(path: Path) -> None:
    os.mkfifo(path)


def linked_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("p"))
    path.symlink_to("p")


def folder(path: Path) -> None:
    path.mkdir()


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's name may be no longer than a hundred characters
        try:
            one.bind(path.name)
        finally:
            os.chdir(here)


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def content(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "a named pipe": (pipe, "pipe"),
    "a link to a named pipe": (linked_pipe, "pipe"),
    "a socket": (unix_socket, "socket"),
    "a folder": (folder, "folder"),
    "zeros without end": (link_to("/dev/zero"), "device"),
    "nothing": (link_to("/dev/null"), "device"),
    "chance without end": (link_to("/dev/urandom"), "device"),
    "a terminal": (link_to("/dev/tty"), "device"),
    "the kernel's memory": (link_to("/proc/self/mem"), "cannot be read"),
    "a link to nothing": (link_to("not-there.toml"), "not-there.toml"),
    "a link to itself": (link_to("spec.toml"), "cannot be read"),
    "a large file": (content(b"#" * (MAX_BYTES + 1)), "MiB"),
    "UTF-16": (content('name = "x"'.encode("utf-16")), "UTF-8"),
    "UTF-16 without a mark": (content('name = "x"'.encode("utf-16-le")), "UTF-8"),
    "another encoding": (content("name = 'ü'".encode("latin-1")), "UTF-8"),
}
LONG = "a." * 20_000 + "a"
DEEP: dict[str, str] = {
    "a key of many parts": "a." * 20_000 + "a = 1",
    "a table of many parts": f"[{'a.' * 20_000}a]",
    "quoted parts": '"a".' * 20_000 + "a = 1",
    "a key in an inline table": f"x = {{ {'a.' * 20_000}a = 1 }}",
    "nested arrays": f"x = {'[' * 10_000}{']' * 10_000}",
    "nested tables": "x = " + "{a = " * 10_000 + "1" + "}" * 10_000,
    "many tables": "[[a]]\n" * (MAX_BYTES // 7),
    "one long word": "a" * (MAX_BYTES - 1),
    "an open array": "x = " + "[" * 100_000,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(("make", "word"), WRONG.values(), ids=WRONG)
def test_anything_but_a_small_text_file_is_refused(
    make: Callable[[Path], None], word: str, read: Reader, tmp_path: Path
) -> None:
    make(tmp_path / "spec.toml")
    with pytest.raises(UsageError, match=rf"^[^\n]*{word}[^\n]*$") as caught:
        read(tmp_path / "spec.toml")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_a_file_that_takes_long_to_parse_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(text)
    with pytest.raises(BadSpec, match=r"^[^\n]+$"):
        load_spec(tmp_path / "spec.toml")


def test_a_byte_order_mark_is_ignored(world: World, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_bytes(b"\xef\xbb\xbf" + world.spec.read_bytes())
    marked, plain = load_spec(tmp_path / "spec.toml"), load_spec(world.spec)
    assert marked.model_dump(exclude={"requests"}) == plain.model_dump(exclude={"requests"})
    (tmp_path / "link.toml").symlink_to(world.spec)
    assert load_spec(tmp_path / "link.toml").name == plain.name


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ('edit.batch_size=3\nname="x"', "follows"),
        ("edit.batch_size=3\n[edit]\nz_layer=9", "follows"),
        ("edit.batch_size=3\n[value]\na=1", "one value"),
        ("edit.batch_size=3 # more", "follows"),
        ("edit.batch_size=3\n# more", "follows"),
        ("edit.batch_size=3\n\n\nx=1", "follows"),
        ("edit.batch_size=3\r\nx=1", "follows"),
        ("name='a'\nseeds=[1]", "follows"),
        ("model.source=a\nb", "one value"),
        ("edit.batch_size=3, x=4", "number|integer"),
        ("target_values.clamp=nan", "finite|number"),
        ("target_values.clamp=nan # c", "follows"),
        ('threads="1"', "quotes"),
        ("threads=1e0", "whole"),
        ("edit.batch_size=1e3", "whole"),
        ("edit.batch_size=3.0", "whole"),
        ('edit.batch_size="3"', "quotes"),
        ("edit.layers=['1']", "quotes"),
        ("edit.layers=[1.0]", "whole"),
        ('edit.ridge="1"', "quotes"),
        ('target_values.steps="5"', "quotes"),
        ("target_values.steps=5e0", "whole"),
        ("contexts.count=true", "number"),
        ('null_space.value="0.5"', "quotes"),
        ('evaluation.perplexity="yes"', "true or false"),
        ("evaluation.perplexity=yes", "true or false"),
        ("evaluation.published=1", "true or false"),
        ("seeds=['1']", "quotes"),
        ("ability.shots=1e1", "whole"),
        ("a." * 40 + "b=1", "many"),
        ("edit.layers=" + "[" * 20_000, "TOML"),
    ],
    ids=lambda text: text[:40],
)
def test_a_setting_with_another_type_is_refused(setting: str, word: str, world: World) -> None:
    with pytest.raises(UsageError, match=rf"^[^\n]*({word})[^\n]*$"):
        load_spec(world.spec, [setting])


@pytest.mark.parametrize(
    "setting",
    [
        "corpus.partitions=1000000", "corpus.window=100000000", "corpus.documents=1000000000",
        "corpus.tokens=1000000000000", "corpus.tokens_per_pass=1000000000", "edit.batch_size=10000000",
        "target_values.steps=1000000000000", "target_values.steps=0", "target_values.steps=-1",
        "target_values.tokens_per_pass=1000000000", "edit.steps=1000000000", "contexts.count=1000",
        "texts.tokens=1000000", "ability.shots=1000000", "ability.count=1000000000", "threads=1025", "threads=0",
        "evaluation.generation_facts=1000000000", "evaluation.drift=1000000000", "gates.facts=1000000000",
        f"seeds={list(range(1001))}",
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_numbers_that_cause_work_have_a_maximum(setting: str, world: World) -> None:
    key = setting.partition("=")[0].rpartition(".")[2]
    with pytest.raises(BadSpec, match=rf"^[^\n]*{key}[^\n]*$"):
        load_spec(world.spec, [setting])


@pytest.mark.parametrize(
    "setting",
    [
        "edit.batch_size=100", " edit.batch_size = 100 ", "edit.batch_size=100\n", "edit.layers=[1,\n 2]", "threads=16",
        "name='a'", 'name = "a-b"', "model.source=some/where#1", "gates.efficacy=false", "gates.efficacy=90",
        "target_values.clamp=1", "target_values.clamp=1e-1", "evaluation.perplexity=false", "texts.roles=['efficacy']",
        "corpus.partitions=1024", "target_values.steps=1000", 'target_values.kl_prompt="""{} # is"""',
        "requests={source='a#b'}", "edit={layers=[1], z_layer=2}",
    ],
)  # fmt: skip
def test_a_valid_setting_is_accepted(setting: str, world: World) -> None:
    """The control."""
    assert isinstance(load_spec(world.spec, [setting]), RunSpec)


def test_the_example_specs_load_and_round_trip_through_a_record() -> None:
    for path in sorted((ROOT / "specs").rglob("*.toml")):
        for one in read_contenders([path]) if "[[variants]]" in path.read_text() else ():
            assert RunSpec.model_validate(one.spec.model_dump(mode="json")) == one.spec
        if "[[variants]]" not in path.read_text():
            spec = load_shared_spec(path)
            assert RunSpec.model_validate(spec.model_dump(mode="json")) == spec


HIDDEN = {
    "one between a text of many lines and another text": f'x = {{s = """a"b""", {LONG} = 1, t = "z"}}',
    "one behind a text that ends with a quote of its own": f'x = {{s = """a"""", {LONG} = 1, t = "z"}}',
    "one behind plain texts of many lines": f"x = {{s = '''a'b''', {LONG} = 1, t = 'z'}}",
    "one between comments with quotes": f'# it\'s """\n{LONG} = 1\n# it\'s """',
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_strings_and_comments_do_not_hide_a_long_key(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError, match="parts"):
        read_toml_text(text)


def test_a_text_with_many_dots_is_not_a_key() -> None:
    """The control of the bound on keys: what only looks like one."""
    for text in (f'x = """{LONG}"""', f"x = '''\n{LONG}'''", f"x = 1 # {LONG}", f'x = ["{LONG}"]'):
        assert "x" in read_toml_text(text)


LIKE_ADDRESSES = {
    "target_values.kl_prompt": "Info: mail@{} is a",
    "corpus.withdrawn": ["https://en.wikipedia.org/wiki?curid=12", "u:v@w/x"],
    "requests.withdrawn": ["https://host/x?id=1#2"],
}


def value_at(spec: object, key: str) -> object:
    for part in key.split("."):
        spec = getattr(spec, part)
    return spec


def test_texts_that_are_not_addresses_are_unchanged(world: World, tmp_path: Path) -> None:
    known = LIKE_ADDRESSES
    text = world.spec.read_text()
    settings = [f"{key}={json.dumps(value)}" for key, value in known.items()]
    for setting in settings:
        assert as_setting(setting) == setting
    table = as_setting('requests={source="http://u:Qx7@h/x", withdrawn=["http://h?a=1"]}')
    assert ("Qx7" in table, "http://h?a=1" in table) == (False, True)
    spec = load_spec(world.spec, settings)
    assert {key: value_at(spec, key) for key in known} == known
    path = tmp_path / "spec.toml"
    labels = {"label": "tau: 0.02 @ layer 5"} | known
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in labels.items())
    path.write_text(f'{text}\n[[variants]]\nname = "v"\nrequests.source = "http://u:Qx7@h/x"\n{lines}\n')
    (row,) = read_contenders([path])
    assert row.label == labels["label"]
    assert {key: value_at(row.spec, key) for key in known} == known
    assert {key: row.settings[key] for key in known} == known
    assert str(row.spec.requests.source) == row.settings["requests.source"] == "http://…@h/x"
    assert row.spec.requests.source.full == "http://u:Qx7@h/x", "the control: an address keeps both"


def test_a_relative_file_beside_the_spec_may_look_like_an_address(world: World, tmp_path: Path) -> None:
    (tmp_path / "data:v1@2024").mkdir()
    (tmp_path / "data:v1@2024" / "facts.jsonl").touch()
    path = tmp_path / "spec.toml"
    path.write_text(world.spec.read_text())
    found = load_spec(path, ["requests.source=data:v1@2024/facts.jsonl"])
    assert str(found.requests.source) == str(tmp_path / "data:v1@2024/facts.jsonl")
