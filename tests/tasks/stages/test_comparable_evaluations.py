"""Evaluations of states are comparable: which neighbours are omitted, and which questions depend on other edits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from editflow.editing.requests.record import EditRequest, Question
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.stages.evaluation import summarise
from editflow.tasks.stages.requests import questions_table, read_requests, requests_table

ONE = EditRequest("one", "{} was born in", "Anna", "Rome", "Bari")
QUESTION = Question("The land where Anna was born is", ("Spain",), needs=("one",))
OTHER = EditRequest("other", "{} lies in", "Rome", "Spain", "Italy", portability=(Question("Rome:", ("x",)), QUESTION))


def portability_prompts(requests: list[EditRequest], tmp_path: Path) -> list[str]:
    """The portability questions of these requests, written to a lake and read back."""
    lake = Lake.open(tmp_path / "lake")
    tables = [requests_table(requests, "here"), questions_table(requests, ["portability"])]
    first, second = (table.store(lake).id for table in tables if table)
    return [q.prompt for r in read_requests(lake, first, second) for q in r.portability]


def test_a_question_is_asked_only_if_all_requests_it_needs_are_present(tmp_path: Path) -> None:
    assert portability_prompts([OTHER], tmp_path) == ["Rome:"]
    assert portability_prompts([OTHER, ONE], tmp_path) == ["Rome:", QUESTION.prompt]
    # A question that needs no other request is always portability_prompts.
    free = replace(OTHER, portability=(replace(QUESTION, needs=()),))
    assert portability_prompts([free], tmp_path) == [QUESTION.prompt]


def row(n: int, *, edited: bool, success: float = 1.0) -> tuple[int, dict[str, Any]]:
    """The evaluation of a neighbour in state `n`."""
    return n, {"request": "one", "metric": "neighbourhood", "prompt_index": 0, "prompt": "Bari", "nll_new": 1.0,
               "nll_true": 2.0, "success": success, "accuracy": 0.0, "tokens": 1, "hits": 0, "edited": edited,
               "published": None}  # fmt: skip


def test_a_neighbour_that_any_batch_edits_is_omitted_from_every_state(monkeypatch: pytest.MonkeyPatch) -> None:
    results = RunResults(None, None, {})  # type: ignore[arg-type]
    found = [row(2, edited=True), row(1, edited=False), row(0, edited=True)]
    monkeypatch.setattr(RunResults, "_rows_by_state", lambda _self, _name: iter(found))
    assert [r["edited"] for r in results.scores] == [True, True, True]
    assert all(results.cases(n, "neighbourhood", "success") == {} for n in range(3))
    assert all(results.cases(n, "neighbourhood", "success as published") == {"one": 1.0} for n in range(3))


def test_the_published_score_includes_edited_neighbours(tmp_path: Path) -> None:
    wrong = row(0, edited=True, success=0.0)[1] | {"prompt_index": 1}
    right = row(0, edited=False)[1]
    others = [right | {"metric": metric} for metric in ("efficacy", "paraphrase")]
    assert scores([right, wrong, *others], tmp_path / "a") == {"harmonic": 100.0, "harmonic as published": 75.0}
    # If no neighbour is edited, the two scores are equal and only one is reported.
    assert scores([right, wrong | {"edited": False}, *others], tmp_path / "b") == {"harmonic": 75.0}


def scores(rows: list[dict[str, Any]], lake: Path) -> dict[str, float]:
    """The scores in the summary of an evaluation with these rows."""
    table = pa.Table.from_pylist(rows, schema=kind("evaluation").schema)
    store = Lake.open(lake)
    return summarise(store, ImportedTable("evaluation", table).store(store).id)["score"]
