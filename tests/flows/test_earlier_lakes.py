"""A lake that an earlier version made is read, checked, reused, continued and repeated; see earlier_lake/README.md."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.damage import flip_bit
from support.tiny_world import Answer, editflow

from editflow.flows.spec import old_names
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.renamed_keys import RENAMED
from editflow.tasks.comparison.comparison_page import PAGE
from editflow.tasks.comparison.comparison_stage import read_files
from editflow.tasks.report.report_stage import REPORT

ARCHIVE = Path(__file__).parent / "earlier_lake" / "earlier.tar.xz"
RUNS = {"earlier", "methods-alphaedit", "methods-rect"}
ARTIFACTS = 69
TOLERANCE = 1e-4
"""Relative tolerance for numbers computed by another processor or other libraries."""
FELT = {"machine", "system", "python", "processor", "threads", "torch", "transformers", "tokenizers", "numpy", "scipy"}
"""Parts of an environment that can change the last bits."""
Uses = dict[str, list[str]]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the lake; the working folder is that of its specs, which contain relative paths."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    old_names._print_new_name.cache_clear()
    yield Path("lake")


def run(lake: Path, *settings: str) -> tuple[dict[str, Any], Answer]:
    """The record of the earlier spec's run, and its output."""
    words = [part for setting in settings for part in ("--set", setting)]
    answer = editflow("run", "earlier.toml", "--lake", lake, "--json", *words)
    assert answer.code == 0, answer.err
    return answer.json, answer


def how(record: dict[str, Any]) -> Uses:
    """{created or reused: labels of the stages}."""
    found: Uses = {"created": [], "reused": []}
    for use in record["uses"]:
        found[use["how"]].append(use["stage"])
    return found


def recorded(lake: Path) -> dict[str, dict[str, Any]]:
    """{name: the run as `runs` lists it}."""
    return {one["name"]: one for one in editflow("runs", "--lake", lake, "--json").json}


def test_it_has_old_names_of_keys(lake: Path) -> None:
    """The control: otherwise the lake would not test them."""
    texts = Path("earlier.toml").read_text() + Path("methods.toml").read_text()
    assert all(f"{old.partition('.')[2]} = " in texts for old in RENAMED)


def test_it_has_no_faults(lake: Path) -> None:
    answer = editflow("verify", "--lake", lake)
    assert answer.code == 0, answer.err
    assert f"{ARTIFACTS} artifacts" in answer.err


@pytest.mark.parametrize("kind", ["weight_change", "second_moment", "evaluation", "report"])
def test_a_damaged_byte_is_found(lake: Path, kind: str) -> None:
    """The control of the test above."""
    damaged = tiny_world.artifacts(lake, kind)[0]
    flip_bit(tiny_world.payload(lake, damaged))
    answer = editflow("verify", "--lake", lake)
    assert answer.code == 1
    assert damaged.id[:12] in answer.out


def test_it_can_be_read(lake: Path) -> None:
    assert recorded(lake).keys() == RUNS
    assert {one["status"] for one in recorded(lake).values()} == {"completed"}
    record = editflow("show", "earlier", "--lake", lake, "--json").json
    assert record["summary"]["facts"] == 4 and len(record["uses"]) == 47
    counted = "SELECT kind, count(*) AS n FROM artifacts GROUP BY kind"
    rows = editflow("query", counted, "--lake", lake, "--json").json
    manifests = list(Lake.open(lake).manifests())
    assert {row["kind"]: row["n"] for row in rows} == {
        kind: sum(made.kind == kind for made in manifests) for kind in {made.kind for made in manifests}
    }
    assert len(manifests) == ARTIFACTS
    scores = "SELECT count(*) AS n FROM evaluations WHERE metric = 'efficacy'"
    assert editflow("query", scores, "--lake", lake, "--json").json[0]["n"] > 0
    assert editflow("lineage", "earlier", "--lake", lake).code == 0


def test_its_spec_reuses_every_artifact(lake: Path, server: str) -> None:
    """One line per old name gives the new one; the run has the same settings.

    The model is in a different folder: it is loaded, and recognised as the same artifact.
    """
    earlier, before = recorded(lake)["earlier"]["run"], tiny_world.digests(lake)
    record, answer = run(lake)
    assert how(record)["created"] == ["model"] and len(record["uses"]) == 47
    assert how(run(lake)[0])["created"] == []
    assert tiny_world.digests(lake) == before
    notes = [line for line in answer.err.splitlines() if " is called " in line]
    assert len(notes) == len(RENAMED) - 1  # `edit.keep` is in the variants
    difference = editflow("diff", earlier, record["run_id"], "--lake", lake, "--json").json
    assert difference["spec"] == [] and difference["stages"] == []


@pytest.mark.exhaustive
def test_its_comparison_is_drawn_again_from_the_same_artifacts(lake: Path, server: str) -> None:
    """The page has other words. The tables and every other artifact are the same, and so is a second comparison."""
    (before,) = tiny_world.artifacts(lake, "comparison")
    for _ in range(2):
        answer = editflow("compare", "methods.toml", "--lake", lake, "--out", "page", "--json")
        assert answer.code == 0, answer.err
        assert len(list(Lake.open(lake).ids())) == ARTIFACTS + 1
    store, after = Lake.open(lake), answer.json["artifact"]
    assert store.manifest(after).spec == before.spec and store.manifest(after).parents == before.parents
    earlier, now = read_files(store, before.id), read_files(store, after)
    assert {name for name in now if now[name] != earlier[name]} == {PAGE}


@pytest.mark.exhaustive
def test_a_damaged_page_does_not_prevent_another(lake: Path, server: str) -> None:
    """Recomputing a page of an earlier version names both versions."""
    earlier = tiny_world.artifacts(lake, "report")[0]
    (row,) = editflow("verify", "--deep", "--stage", "report", "--lake", lake, "--json").json["recomputed"]
    assert (
        row["same"] is None and f"version {earlier.version} " in row["note"] and f"is {REPORT.version}" in row["note"]
    )
    flip_bit(tiny_world.payload(lake, earlier))
    assert editflow("report", "earlier", "--lake", lake, "--out", "page.html").code == 0
    assert len(tiny_world.artifacts(lake, "report")) == 2


@pytest.mark.exhaustive
def test_other_settings_create_other_artifacts(lake: Path, server: str) -> None:
    """The control of the two tests above."""
    made = how(run(lake, "edit.protected_energy=0.5")[0])
    assert "weight change 1" in made["created"] and "second moment" in made["reused"]


@pytest.mark.exhaustive
def test_it_can_be_continued(lake: Path, server: str) -> None:
    """With more facts, the states of its batches are reused and extended, and the lake has no faults."""
    before = set(Lake.open(lake).ids())
    record, _ = run(lake, "requests.count=6")
    made, ids = how(record), {use["stage"]: use["artifact"] for use in record["uses"]}
    assert {"state 1", "state 2"} <= {*made["reused"]} and "state 3" in made["created"]
    store = Lake.open(lake)
    assert ids["state 2"] in before and record["state"] == ids["state 3"] not in before
    assert store.manifest(ids["state 3"]).parents["state"] == ids["state 2"]
    answer = editflow("verify", "--lake", lake)
    assert answer.code == 0, answer.out


def same_processor(explains: list[dict[str, Any]]) -> bool:
    """Whether the environment parts that can change the last bits are the same."""
    cpu = Path("/proc/cpuinfo")
    intel = cpu.is_file() and "GenuineIntel" in cpu.read_text(encoding="utf-8")
    return intel and not FELT & {row["key"] for row in explains}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "earlier" else pytest.mark.exhaustive) for name in sorted(RUNS)]
)
def test_its_runs_are_repeated_bit_for_bit(lake: Path, server: str, name: str) -> None:
    """In a new lake, from the record alone: the same recipes, and the same bits on the same kind of processor."""
    before = tiny_world.digests(lake)
    answer = editflow("rerun", recorded(lake)[name]["run"], "--lake", lake, "--into", "fresh", "--json")
    rows = answer.json["rows"]
    again = tiny_world.digests(Path("fresh"))
    assert len(rows) >= 43 and {row["artifact"] for row in rows} == set(again)
    assert " is called " not in answer.err
    if same_processor(answer.json["explains"]):
        assert answer.code == 0, answer.err
        assert answer.json["same"] and again == {id_: before[id_] for id_ in again}
    else:
        differences = [row["relative"] for row in rows if row["relative"] is not None]
        assert max(differences, default=0.0) < TOLERANCE


def test_a_repetition_with_another_text_is_detected(lake: Path, server: str) -> None:
    """The control of the test above: another text changes documents and everything that depends on them."""
    corpus = Path("corpus.jsonl")
    corpus.write_bytes(corpus.read_bytes().replace(b"a", b"e"))
    answer = editflow("rerun", recorded(lake)["earlier"]["run"], "--lake", lake)
    assert answer.code == 1
    assert "documents" in answer.out + answer.err
