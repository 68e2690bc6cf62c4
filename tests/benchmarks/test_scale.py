"""The large-lake benchmark on a small lake: every question is timed, answered and compared with its limits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale import MAX_BYTES, QUESTIONS, Timings, app
from benchmarks.synthetic import PROJECT_KINDS, RUN_KINDS, write
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.queries.query import lineage, query

pytestmark = pytest.mark.exhaustive

RUNS, COMMITS = 30, 20


def test_the_lake_has_the_requested_size(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    state = write(lake, RUNS, COMMITS)
    inputs = {"artifacts": len(RUN_KINDS), "edges": sum(map(len, RUN_KINDS.values()))}
    shared = {"artifacts": len(PROJECT_KINDS), "edges": sum(map(len, PROJECT_KINDS.values()))}
    for view, number in inputs.items():
        (row,) = query(lake, f"SELECT count(*) AS n FROM {view}").to_pylist()  # noqa: S608 - our own names
        assert row["n"] == RUNS * number + shared[view], view
    assert query(lake, "SELECT status, count(*) AS n FROM runs GROUP BY 1").to_pylist() == [
        {"status": "completed", "n": RUNS}
    ]
    assert len(Catalog(lake).files("artifacts")) == COMMITS + 1
    assert not Catalog(lake).missing()
    upstream = {step.id for step in lineage(lake, state.id)}
    assert len(upstream) == len(PROJECT_KINDS) + 6 * RUNS, "all but questions and results"


def test_every_question_is_timed_and_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(tmp_path / "lake"), "--runs", str(RUNS), "--commits", str(COMMITS), "--times", "2"]
    with pytest.raises(SystemExit):
        app([*words, "--out", str(tmp_path / "found.json")])
    written = json.loads((tmp_path / "found.json").read_text())
    rows = {row["question"]: row for row in written["rows"]}
    assert [*rows] == [*QUESTIONS]
    assert all(
        len(row["wall"]) == len(row["cpu"]) == (2 if QUESTIONS[name].repeated else 1) for name, row in rows.items()
    )
    found = {name: row["found"] for name, row in rows.items()}
    assert found["cold start"] == found["upstream of an artifact"] == found["upstream, now"] > RUNS
    assert found["impact of a document"] > 0
    assert found["list of runs"] == found["runs by SQL"] == RUNS
    (row,) = query(
        Lake.open(tmp_path / "lake"), "SELECT count(*) AS n FROM artifacts WHERE kind = 'spectrum'"
    ).to_pylist()
    assert row["n"] == 1 + 2, "the written artifacts remain"
    assert "missed" in capsys.readouterr().out


def test_missed_limits_are_reported() -> None:
    question = QUESTIONS["list of runs"]
    answer = Timings([question.seconds / 2, 9.0], [0.1, 0.1], 100, 1)
    assert scale._row("", question, answer)["missed"] == "", "only the first time counts"
    assert scale._row("", replace(question, seconds=0.0), answer)["missed"] == "time"
    assert scale._row("", question, replace(answer, peak=MAX_BYTES + 1))["missed"] == "memory"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--commits", "11", "--runs", "1"], "--commits 11"),
        (["--out", "nowhere/x.json"], "nowhere"),
    ],
)
def test_invalid_arguments_exit_with_one_line_and_code_2(
    arguments: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app([str(tmp_path / "lake"), *arguments])
    assert ended.value.code == 2
    assert word in "".join(capsys.readouterr())
    assert not (tmp_path / "lake").exists()
