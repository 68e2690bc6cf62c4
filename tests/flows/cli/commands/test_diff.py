"""`editflow diff`: changed settings, the first stage that differs, gained and lost facts, metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.tiny_world import World, editflow

from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs
from editflow.tasks.report.paired_metrics import paired
from editflow.tasks.report.run_results import RunResults


@pytest.fixture(scope="module")
def lake(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A lake and the ids of four runs: usual, with fewer facts, with a tight clamp, with less held-out text."""
    folder = tmp_path_factory.mktemp("diff") / "lake"
    ways = {
        "usual": [], "fewer": ["requests.count=4"], "tight": ["target_values.clamp=0.01"],
        "text": ["corpus.held_out_tokens=100"],
    }  # fmt: skip
    return folder, {name: tiny_world.record_directly(world.spec, folder, *more).run_id for name, more in ways.items()}


def diff(lake: tuple[Path, dict[str, str]], one: str, other: str) -> dict[str, Any]:
    folder, ids = lake
    answer = editflow("diff", ids.get(one, one), ids.get(other, other), "--lake", folder, "--json")
    assert answer.code == 0, answer.err
    return dict(answer.json)


def test_a_run_does_not_differ_from_itself(lake) -> None:
    found = diff(lake, "usual", "usual")
    assert [found[part] for part in ("spec", "environment", "inputs", "stages", "facts")] == [[]] * 5
    assert found["batches"] == {"shared": 3, "one": 3, "other": 3}


def test_a_changed_setting_and_the_first_changed_stage_are_named(lake) -> None:
    found = diff(lake, "usual", "tight")
    assert [(row["key"], row["other"]) for row in found["spec"]] == [("target_values.clamp", 0.01)]
    first = found["stages"][0]
    assert first["stage"].startswith("target values 1")
    assert "clamp" in first["cause"]
    assert {row["cause"] for row in found["stages"] if row["stage"].startswith("state")} == {"inputs"}
    assert found["batches"]["shared"] == 0
    assert found["facts"] == []


def test_metrics_are_the_same_as_those_of_scores(lake) -> None:
    """The same pairs of cases, and no other metric."""
    store, ids = Lake.open(lake[0]), lake[1]
    expected = paired(*(RunResults.load(store, ids[name]) for name in ("usual", "tight")))
    found = {row["metric"]: row for row in diff(lake, "usual", "tight")["metrics"]}
    assert set(found) == {row["metric"] for row in expected} | {"perplexity"}
    for row in expected:
        assert found[row["metric"]]["difference"]["value"] == pytest.approx(row["difference"].value)
    after = [Runs(store.files).get(ids[name]).summary["after"]["perplexity"] for name in ("usual", "tight")]
    assert found["perplexity"]["difference"]["value"] == pytest.approx(after[1] - after[0])


def test_facts_are_gained_and_lost(lake) -> None:
    there, back = diff(lake, "fewer", "usual"), diff(lake, "usual", "fewer")
    assert there["batches"] == {"shared": 2, "one": 2, "other": 3}
    assert [row["what"] for row in there["facts"]] == ["gained"] * 2
    assert [row["what"] for row in back["facts"]] == ["lost"] * 2
    assert {row["fact"] for row in there["facts"]} == {row["fact"] for row in back["facts"]}


def test_another_held_out_text_does_not_change_the_edited_model(lake) -> None:
    found = diff(lake, "usual", "text")
    assert found["one"]["state"] == found["other"]["state"]
    assert found["stages"][0]["stage"] == "tokens held out"
    text = editflow("diff", lake[1]["usual"], lake[1]["text"], "--lake", lake[0])
    assert "the same edited model, bit for bit" in text.out


@pytest.mark.parametrize(
    ("other", "fragment"),
    [("nobody", "0 runs match 'nobody'"), ("tiny@3", "0 runs match 'tiny@3'"), ("", "the run's name is empty")],
)
def test_an_unknown_name_is_refused_in_one_line(lake, other: str, fragment: str) -> None:
    answer = editflow("diff", "last", other, "--lake", lake[0])
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert fragment in answer.err
