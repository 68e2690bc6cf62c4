"""The measurement of a large lake, on a small one: all is asked, found, and compared with its limits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale import MEMORY, QUESTIONS, Answer, app
from benchmarks.synthetic import GROUND, LINK, write
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.queries.query import lineage, query

pytestmark = pytest.mark.exhaustive

RUNS, COMMITS = 30, 20


def test_the_lake_is_as_large_as_asked_for(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    state = write(lake, RUNS, COMMITS)
    inputs = {"artifacts": len(LINK), "edges": sum(map(len, LINK.values()))}
    ground = {"artifacts": len(GROUND), "edges": sum(map(len, GROUND.values()))}
    for view, number in inputs.items():
        (row,) = query(lake, f"SELECT count(*) AS n FROM {view}").to_pylist()  # noqa: S608 - our own names
        assert row["n"] == RUNS * number + ground[view], view
    assert query(lake, "SELECT status, count(*) AS n FROM runs GROUP BY 1").to_pylist() == [
        {"status": "completed", "n": RUNS}
    ]
    assert len(Catalog(lake).files("artifacts")) == COMMITS + 1
    assert not Catalog(lake).missing()
    behind = {step.id for step in lineage(lake, state.id)}
    assert len(behind) == len(GROUND) + 6 * RUNS, "the whole list of states, all but questions and results"


def test_everything_is_asked_and_written_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(tmp_path / "lake"), "--runs", str(RUNS), "--commits", str(COMMITS), "--times", "2"]
    with pytest.raises(SystemExit):
        app([*words, "--out", str(tmp_path / "found.json")])
    said = json.loads((tmp_path / "found.json").read_text())
    rows = {row["question"]: row for row in said["rows"]}
    assert [*rows] == [*QUESTIONS]
    assert all(len(row["wall"]) == len(row["cpu"]) == (2 if QUESTIONS[name].often else 1) for name, row in rows.items())
    found = {name: row["found"] for name, row in rows.items()}
    assert found["cold start"] == found["upstream of an artifact"] == found["upstream, now"] > RUNS
    assert found["impact of a document"] > 0
    assert found["list of runs"] == found["runs by SQL"] == RUNS
    (row,) = query(
        Lake.open(tmp_path / "lake"), "SELECT count(*) AS n FROM artifacts WHERE kind = 'spectrum'"
    ).to_pylist()
    assert row["n"] == 1 + 2, "what was written stays"
    assert "missed" in capsys.readouterr().out


def test_a_limit_that_is_missed_is_named() -> None:
    question = QUESTIONS["list of runs"]
    answer = Answer([question.seconds / 2, 9.0], [0.1, 0.1], 100, 1)
    assert scale._row("", question, answer)["missed"] == "", "the first time counts"
    assert scale._row("", replace(question, seconds=0.0), answer)["missed"] == "time"
    assert scale._row("", question, replace(answer, peak=MEMORY + 1))["missed"] == "memory"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--commits", "11", "--runs", "1"], "1 runs make 10 artifacts"),
        (["--out", "nowhere/x.json"], "no folder nowhere"),
    ],
)
def test_wrong_words_get_one_line_and_code_2(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app([str(tmp_path / "lake"), *words])
    assert ended.value.code == 2
    assert told in "".join(capsys.readouterr())
    assert not (tmp_path / "lake").exists()
