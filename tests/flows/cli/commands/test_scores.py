"""`editflow scores`: the scores of a run with intervals, and two runs compared on the same facts."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import tiny_world
from support.tiny_world import World, editflow

pytestmark = pytest.mark.exhaustive


def test_every_score_equals_that_of_the_summary(reference) -> None:
    answer = editflow("scores", "last", "--lake", reference.lake, "--json")
    assert answer.code == 0, answer.err
    rows = {row["metric"]: row for row in answer.json}
    summary = reference.record["summary"]
    for metric in ("efficacy", "paraphrase", "neighbourhood"):
        for figure in ("success", "accuracy", "token accuracy", "magnitude"):
            row = rows[f"{metric} {figure}"]
            assert row["after"]["value"] == pytest.approx(summary["after"][metric][figure], abs=0.006)
            assert row["after"]["low"] <= row["after"]["value"] <= row["after"]["high"]
    unchanged = rows["neighbourhood unchanged"]
    assert unchanged["before"] == {"value": 100, "low": 100, "high": 100}
    assert 0 < unchanged["after"]["value"] < 100
    assert unchanged["change"]["value"] == pytest.approx(unchanged["after"]["value"] - 100)
    assert "efficacy unchanged" not in rows  # edited answers are meant to change
    assert rows["score harmonic"]["after"]["value"] == pytest.approx(summary["after"]["score"]["harmonic"], abs=0.006)
    shown = editflow("scores", "last", "--lake", reference.lake)
    assert "token accuracy %" in shown.out
    assert " to " in shown.out


def test_a_run_does_not_differ_from_itself(reference) -> None:
    answer = editflow("scores", "last", "--against", "last", "--lake", reference.lake, "--json")
    assert answer.code == 0, answer.err
    assert answer.json
    for row in answer.json:
        assert (row["difference"]["value"], row["better"], row["worse"]) == (0, 0, 0)
        assert row["cases"] == reference.record["summary"]["facts"] or row["metric"].startswith("neighbourhood")


def test_two_runs_are_compared_on_the_same_facts(reference, copied: Path, world: World) -> None:
    """A ridge that prevents edits has less efficacy on the same cases."""
    weak = tiny_world.run(world.spec, copied, "edit.ridge=1e9", "name=weak")
    answer = editflow("scores", reference.record["run_id"], "--against", weak["run_id"], "--lake", copied, "--json")
    assert answer.code == 0, answer.err
    rows = {row["metric"]: row for row in answer.json}
    for figure in ("success", "magnitude"):
        before, after = (record["summary"]["after"]["efficacy"][figure] for record in (reference.record, weak))
        assert rows[f"efficacy {figure} %"]["difference"]["value"] == pytest.approx(after - before, abs=0.01)
    row = rows["efficacy magnitude %"]
    assert row["worse"] > row["better"]
    assert row["difference"]["low"] <= row["difference"]["value"] < 0


def test_runs_without_common_facts_cannot_be_compared(copied: Path, world: World, tmp_path: Path) -> None:
    rows = tiny_world.records(6)
    for row in rows:
        row["requested_rewrite"]["subject"] = f"Great {row['requested_rewrite']['subject']}"
    facts = tiny_world.write_lines(tmp_path / "facts.jsonl", rows)
    tiny_world.run(world.spec, copied, f"requests.source={facts}", "name=others")
    answer = editflow("scores", "others", "--against", "tiny", "--lake", copied)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "no fact in common" in answer.err
