"""An invalid comparison is refused before it computes anything, in one line with file, variant and remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from support.error_checks import refused
from support.tiny_world import World, editflow

from editflow.flows.cli.commands.compare import _write_files
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DamagedPayload

MEMIT = '[[variants]]\nname = "memit"\nedit.method = "memit"\n'


def compare_command(
    world: World, folder: Path, variants: str, *options: object, name: str = "bad.toml"
) -> tuple[object, ...]:
    """A command that compares the tiny spec with these variants; the lake and the page are in `folder`."""
    spec = folder / name
    text = world.spec.read_text(encoding="utf-8").replace('"facts.jsonl"', f'"{world.facts}"')
    spec.write_text(f"{text}\n{variants}", encoding="utf-8")
    return ("compare", spec, "--lake", folder / "lake", "--out", folder / "out", *options)


@pytest.mark.parametrize(
    ("variants", "fragments"),
    [
        (MEMIT + MEMIT, ["variant 'memit'", "two variants have this name", "another"]),
        (MEMIT + "edit.alpa = 3", ["variant 'memit'", "unknown key 'edit.alpa'", "'alpha'"]),
        (MEMIT + "edit.keep_fraction = 0.3", ["variant 'memit'", "edit.keep_fraction is no option of memit", "(rect)"]),
        (MEMIT + "edit.alpha = 0", ["variant 'memit'", "edit.alpha", "above 0"]),
        (MEMIT + "target_value.steps = 3", ["variant 'memit'", "unknown key 'target_value'", "'target_values'"]),
        (MEMIT + "edit = 3", ["bad.toml is not a TOML file"]),
        ('[[variants]]\nname = "x"\nedit = 3', ["variant 'x'", "edit is a section, not a value", "edit.method"]),
        (MEMIT + "seeds = [3]", ["variant 'memit'", "seeds cannot differ between variants", "whole spec"]),
        (
            '[[variants]]\nname = "rome"\nedit.method = "rome"',
            ["variant 'rome'", "rome edits one layer", "edit.layers"],
        ),
        ('[[variants]]\nname = "ft"\nedit.method = "ft"\nedit.anchor = true', ["variant 'ft'", "no option of ft"]),
        ('[[variants]]\nname = "none"\nedit.method = "magic"', ["variant 'none'", "unknown method 'magic'", "memit"]),
        ('[[variants]]\nedit.method = "memit"', ["variant 1", "name", "give each a name"]),
        ('[[variants]]\nname = "My MEMIT"', ["variant 'My MEMIT'", "name", "small letters"]),
        ('[variants.memit]\nedit.method = "memit"', ["variants", "[[variants]]"]),
        (
            f'[[variants]]\nname = "a"\n{MEMIT}[[variants]]\nname = "b"',
            ["'tiny-b' runs the same as 'tiny-a'", "remove"],
        ),
        (MEMIT + '[[variants]]\nname = "own"\nedit.method = "memit"\nedit.alpha = 15000', ["'tiny-own' runs the same"]),
        (MEMIT + "edit.layers = [0, 9]\nedit.z_layer = 9", ["'tiny-memit'", "layer", "9"]),
        (MEMIT + 'model.source = "no/model/here"', ["no/model/here"]),
    ],
    ids=lambda value: value[-40:].replace("\n", " ") if isinstance(value, str) else None,
)
def test_an_invalid_variant_is_named(world: World, tmp_path: Path, variants: str, fragments: list[str]) -> None:
    refused(editflow(*compare_command(world, tmp_path, variants)), str(tmp_path / "bad.toml"), *fragments)
    assert not (tmp_path / "lake").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        (["--seeds", "0,x"], ["--seeds 0,x", "--seeds 0,1,2"]),
        (["--seeds", "0,-1"], ["--seeds 0,-1", "from 0"]),
        (["--seeds", "1", "--seeds", "1"], ["--seeds 1,1", "each once"]),
        (["--set", "edit.batchsize=3"], ["unknown key 'edit.batchsize'", "'batch_size'"]),
        (["--set", "requests.count=0"], ["requests.count", "greater than or equal to 1"]),
        (["--set", "requests.source=none.jsonl"], ["no file none.jsonl", "give a path"]),
        (["--set", "corpus.source=none.jsonl"], ["none.jsonl"]),
        (["--seeds", "1000", "--set", f"name={'a' * 57}"], ["longer than 64 characters", "shorten"]),
        (["--set", "model.device=banana"], ["model.device = 'banana' is not available"]),
        (["--set", "model.device=meta"], ["model.device = 'meta' is not available"]),
        (["--set", "edit.batch_size=true"], ["edit.batch_size is true or false"]),
        (["nowhere.toml"], ["no spec nowhere.toml"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_an_invalid_option_is_named(world: World, tmp_path: Path, options: list[str], fragments: list[str]) -> None:
    refused(editflow(*compare_command(world, tmp_path, MEMIT, *options)), *fragments)
    assert not (tmp_path / "lake").exists()


def test_an_invalid_output_folder_is_refused_first(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = compare_command(world, tmp_path, MEMIT)[:-2]
    refused(editflow(*command, "--out", tmp_path / "file"), "is a file", "give a folder")
    refused(editflow(*command, "--out", tmp_path / "no" / "where"), "no folder", "make it")
    os.mkfifo(tmp_path / "pipe")
    refused(editflow(*command, "--out", tmp_path / "pipe"), "is a pipe")
    refused(editflow(*command, "--out", "/dev/null"), "is a device")
    (tmp_path / "taken" / "comparison.html").mkdir(parents=True)
    refused(editflow(*command, "--out", tmp_path / "taken"), "comparison.html")
    assert not (tmp_path / "lake").exists()


def test_two_specs_with_the_same_run_name_are_refused(world: World, tmp_path: Path) -> None:
    _, one, *rest = compare_command(world, tmp_path, MEMIT, name="one.toml")
    _, other, *_ = compare_command(world, tmp_path, MEMIT, name="other.toml")
    found = editflow("compare", one, other, *rest)
    refused(found, "one.toml", "other.toml", "'tiny-memit'", "rename")


def test_run_refuses_variants_and_names_compare(world: World, tmp_path: Path) -> None:
    _, spec, *_ = compare_command(world, tmp_path, MEMIT)
    refused(editflow("run", spec, "--lake", tmp_path / "lake"), "has variants", "`editflow compare`")
    assert not (tmp_path / "lake").exists()


def test_only_known_file_names_of_a_comparison_are_written(tmp_path: Path) -> None:
    """A lake from somebody else may contain any file name."""
    place, victim = Lake.open(tmp_path / "lake"), tmp_path / "victim.txt"
    victim.write_text("mine")

    def stored(*names: str) -> str:
        rows = [{"name": name, "text": "theirs"} for name in ("comparison.html", "table.csv", *names)]
        table = pa.Table.from_pylist(rows, schema=kind("comparison").schema)
        return place.write("comparison", 2, {"names": names}, {}, table).id

    strange = (str(victim), "../victim.txt", "../more.txt", ".", "..", "", ".bashrc", "run.sh", "a/b.csv", "a\0.csv",
               "Table.csv", "table.csv ", "other.csv")  # fmt: skip
    for name in strange:
        with pytest.raises(DamagedPayload):
            _write_files(place, stored(name), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "victim.txt"]
    assert victim.read_text() == "mine"
    _write_files(place, stored("rows.csv"), tmp_path / "out")  # control
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.html", "table.csv", "rows.csv"}
