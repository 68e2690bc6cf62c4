"""Renamed spec keys: an old name works and prints one line with the new name; in old records it works silently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.error_checks import refused
from support.tiny_world import World, editflow

from editflow.editing.editors.methods import parse_options
from editflow.flows.compare import _setting_pairs
from editflow.flows.spec import old_names
from editflow.flows.spec.loading import load_spec
from editflow.flows.spec.recorded_spec import recorded_spec
from editflow.flows.spec.variants import read_contenders
from editflow.flows.tuning.arguments import TuneArguments, draft
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.renamed_keys import RENAMED, with_new_names
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.report.requested_metrics import requested_metrics
from editflow.tasks.reproduction.model_diff import settings as parted
from editflow.tasks.stages.solver_inputs import WeightChangeSettings

VALUES: dict[str, Any] = {
    "ability.ways": ["generation"],
    "corpus.scan": 77,
    "edit.filter": 0.25,
    "edit.keep": 0.5,
    "evaluation.texts": 3,
    "requests.skip": 2,
}
"""{old name: a value that is not the default}"""


@pytest.fixture(autouse=True)
def new_process() -> None:
    """Forget which messages were printed, as in a new process."""
    old_names._print_new_name.cache_clear()


def spec_file(folder: Path, *keys: str, name: str = "old.toml") -> Path:
    """A spec with these keys set, for the method that takes all of them."""
    path = folder / name
    lines = ['name = "old"', 'requests.source = "facts.jsonl"', 'edit.method = "rect"', "edit.alpha = 100", *keys]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def line(key: str, old: str) -> str:
    return f"{key} = {VALUES[old]}"


def test_every_renamed_key_has_a_value_here() -> None:
    assert set(VALUES) == set(RENAMED)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_file(old: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both names give the same spec. The old name prints one line, however often the file is read; the new one none."""
    wanted = load_spec(spec_file(tmp_path, line(new, old), name="new.toml"))
    assert capsys.readouterr().err == ""
    path = spec_file(tmp_path, line(old, old))
    assert load_spec(path) == load_spec(path) == wanted
    (notice,) = capsys.readouterr().err.splitlines()
    assert str(path) in notice and f"{old} is called {new}" in notice
    assert wanted != load_spec(spec_file(tmp_path, name="without.toml"))  # the control


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_setting(old: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, value = spec_file(tmp_path), VALUES[old]
    wanted = load_spec(path, [f"{new}={value}"])
    assert capsys.readouterr().err == ""
    assert load_spec(path, [f"{old}={value}"]) == wanted
    (notice,) = capsys.readouterr().err.splitlines()
    assert "--set" in notice and f"{old} is called {new}" in notice


@pytest.mark.parametrize("in_file", ["edit.keep", "edit.keep_fraction"])
@pytest.mark.parametrize("typed", ["edit.keep", "edit.keep_fraction"])
def test_a_setting_overrides_the_file_under_either_name(in_file: str, typed: str, tmp_path: Path) -> None:
    path = spec_file(tmp_path, f"{in_file} = 0.5")
    assert load_spec(path, [f"{typed}=0.75"]).edit.keep_fraction == 0.75


def test_a_whole_section_in_one_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = load_spec(spec_file(tmp_path), ['edit={method="rect", alpha=1, keep=0.5}'])
    assert spec.edit.keep_fraction == 0.5
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("lines", "typed"),
    [
        (["edit.keep = 0.5", "edit.keep_fraction = 0.5"], []),
        ([], ["edit.keep=0.5", "edit.keep_fraction=0.5"]),
        ([], ["edit={method='rect', keep=0.5, keep_fraction=0.5}"]),
    ],
    ids=["in a file", "as settings", "in one setting"],
)
def test_both_names_are_refused(lines: list[str], typed: list[str], tmp_path: Path) -> None:
    path = spec_file(tmp_path, *lines)
    options = [part for setting in typed for part in ("--set", setting)]
    refused(editflow("plan", path, "--lake", tmp_path / "lake", *options), "edit.keep", "edit.keep_fraction", "remove")


def test_a_variant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its settings have the new name, and the recipe of the comparison keeps the old name."""
    rows = ['[[variants]]\nname = "a"', '[[variants]]\nname = "b"\nedit.keep{} = 0.5']
    (_, new), (_, old) = (
        read_contenders([spec_file(tmp_path, "", *(row.format(key) for row in rows), name=f"{key}.toml")])
        for key in ("_fraction", "")
    )
    (notice,) = capsys.readouterr().err.splitlines()
    assert "variant 'b'" in notice and "edit.keep is called edit.keep_fraction" in notice
    assert old.spec == new.spec and old.spec.edit.keep_fraction == 0.5
    assert old.settings == new.settings == {"edit.keep_fraction": 0.5}
    assert _setting_pairs(new) == [["edit.keep", "0.5"]]
    both = spec_file(tmp_path, *rows[:1], rows[1].format(""), "edit.keep_fraction = 0.5", name="both.toml")
    refused(editflow("compare", both, "--lake", tmp_path / "lake"), "both.toml", "variant 'b'", "remove edit.keep")


def test_tuning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ('edit.method="memit"', "edit.filter=0.25")
    spec = draft(TuneArguments("model", "facts.jsonl", 1.0, settings=settings))
    assert spec.edit.protected_energy == 0.25
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture(scope="module")
def recorded(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """A run with every renamed key, and its lake."""
    lake = tmp_path_factory.mktemp("recorded") / "lake"
    typed = [f"{RENAMED[old]}={value}" for old, value in VALUES.items()]
    return lake, tiny_world.record_directly(world.spec, lake, "edit.method=rect", "edit.alpha=100", *typed)


def of_earlier(record: RunRecord) -> RunRecord:
    """The record as an earlier version wrote it."""
    spec = {key: dict(value) if isinstance(value, dict) else value for key, value in record.spec.items()}
    for old, new in RENAMED.items():
        section, _, name = old.partition(".")
        spec[section][name] = spec[section].pop(new.partition(".")[2])
    return replace(record, spec=spec)


def test_a_record(recorded: tuple[Path, RunRecord], capsys: pytest.CaptureFixture[str]) -> None:
    """It has the new names; a record with old names is read as the same run, without a message."""
    _, record = recorded
    earlier = of_earlier(record)
    assert all(record.spec[new.partition(".")[0]][new.partition(".")[2]] == VALUES[old] for old, new in RENAMED.items())
    assert earlier.spec != record.spec and with_new_names(earlier.spec) == record.spec
    assert recorded_spec(earlier) == recorded_spec(record)
    assert requested_metrics(earlier.spec) == requested_metrics(record.spec)
    assert "fluency" in requested_metrics(earlier.spec)
    assert capsys.readouterr().err == ""


def test_a_difference_of_runs(recorded: tuple[Path, RunRecord], tmp_path: Path) -> None:
    """A run of an earlier version has the same settings as its repetition; the control has different ones."""
    lake, record = recorded
    spec = of_earlier(record).spec
    runs = Runs(Lake.open(lake).files)
    for name, changed in {"earlier": {}, "other": {"edit": {**spec["edit"], "keep": 0.75}}}.items():
        again = runs.start(name, {**spec, **changed, "name": record.spec["name"]})
        runs.finish(again, "completed", state=record.state, summary=record.summary, uses=record.uses)
    rows = {
        name: editflow("diff", record.run_id, name, "--lake", lake, "--json").json["spec"]
        for name in ("earlier", "other")
    }
    assert rows == {"earlier": [], "other": [{"key": "edit.keep_fraction", "one": 0.5, "other": 0.75}]}
    assert parted(record.spec, spec)  # as they were recorded, they differ


def test_recipes_keep_the_old_names(recorded: tuple[Path, RunRecord]) -> None:
    """A renamed key changes no id; a recipe's old name is read back as the option."""
    lake, _ = recorded
    options = parse_options("rect", {"keep_fraction": 0.5, "protected_energy": 0.25})
    settings = WeightChangeSettings("rect", options)
    words = settings.recipe()
    assert (words["keep"], words["filter"]) == (0.5, 0.25)
    assert WeightChangeSettings.read(words) == settings
    manifests = list(Lake.open(lake).manifests())
    words = {word for made in manifests for word in made.spec}
    assert {"keep", "filter", "scan"} <= words
    assert not {name.partition(".")[2] for name in RENAMED.values()} & words


def test_the_documents_name_every_renamed_key() -> None:
    text = (Path(__file__).parents[3] / "docs/commands.md").read_text(encoding="utf-8")
    assert [f"| `{old}` | `{new}` |" for old, new in RENAMED.items() if f"| `{old}` | `{new}` |" not in text] == []
