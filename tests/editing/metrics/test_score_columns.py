"""Scores of rows compared with values by hand, and neighbours that do not measure specificity."""

from __future__ import annotations

from math import exp, log

import pytest

from editflow.editing.metrics.measure import measure
from editflow.editing.metrics.registry import METRICS
from editflow.editing.metrics.score_columns import COLUMNS, available, cases, harmonic
from editflow.editing.models.editable import EditableModel
from editflow.editing.requests.neighbours import edited_neighbours
from editflow.editing.requests.record import EditRequest


def row(request: str = "a", metric: str = "efficacy", **columns: object) -> dict[str, object]:
    """A row with probability ½ per token of the new answer, ¼ of the true one, and three of four tokens right."""
    usual = {"nll_new": log(2), "nll_true": log(4), "success": 1.0, "accuracy": 0.0, "tokens": 4, "hits": 3}
    return {"request": request, "metric": metric, "edited": False, "published": None} | usual | columns


def test_scores_of_a_case_by_hand() -> None:
    rows = [row(), row(success=0.0, hits=1), row("b", accuracy=1.0, hits=4)]
    assert cases(rows, "success") == {"a": 0.5, "b": 1.0}
    assert cases(rows, "accuracy") == {"a": 0.0, "b": 1.0}
    assert cases(rows, "token accuracy") == {"a": 0.5, "b": 1.0}
    assert cases(rows, "magnitude")["a"] == pytest.approx(0.25)
    assert cases([row(metric="neighbourhood")], "magnitude")["a"] == pytest.approx(-0.25)


def test_equal_answers_are_unchanged_whether_right_or_wrong() -> None:
    """One of three tokens differs from the base model's, and none is the answer's."""
    rows = [row(metric="locality", hits=0, said=[5, 6, 9], said_before=[5, 6, 7])]
    assert cases(rows, "unchanged") == {"a": pytest.approx(2 / 3)}
    assert cases(rows, "token accuracy") == {"a": 0}
    assert cases([row(metric="locality", said=[5], said_before=[5])], "unchanged") == {"a": 1}
    assert cases([row(metric="locality", said=[5], said_before=[6])], "unchanged") == {"a": 0}
    assert cases([row(metric="locality", said=[5])], "unchanged") == {}  # undefined for a single state


def test_without_another_answer_there_is_no_success() -> None:
    rows = [row(nll_true=None, success=None)]
    assert cases(rows, "success") == {} == cases(rows, "magnitude")
    assert available(rows) == ["accuracy", "token accuracy"]
    assert available([row()]) == ["success", "accuracy", "token accuracy", "magnitude"]


def test_rows_of_old_evaluations_have_their_former_columns() -> None:
    old = {name: value for name, value in row().items() if name not in {"tokens", "hits", "edited", "published"}}
    assert available([old]) == ["success", "accuracy", "magnitude"]


def test_edited_neighbours_count_only_in_the_published_column() -> None:
    rows = [row(metric="neighbourhood"), row(metric="neighbourhood", success=0.0, edited=True)]
    assert cases(rows, "success") == {"a": 1.0}
    assert cases(rows, "success as published") == {"a": 0.5}
    assert "success as published" in available(rows)
    assert "success as published" not in available(rows[:1])


def test_the_score_is_the_harmonic_mean() -> None:
    assert harmonic([100, 50, 100]) == pytest.approx(3 / (1 / 100 + 1 / 50 + 1 / 100))
    assert harmonic([80, 80, 80]) == pytest.approx(80)
    assert harmonic([100, 0, 100]) == 0


def test_every_column_has_a_description_and_stays_in_its_range() -> None:
    for name in METRICS:
        for column in COLUMNS.values():
            assert column.about
            value = column.score(row(metric=name, published=0.5, said=[3, 5], said_before=[3, 4]))
            if column.name == "unchanged" and METRICS[name].wants_new:
                assert value is None  # what is edited is meant to change
            else:
                assert value is not None
                assert -1 <= value <= 1


def test_a_neighbour_that_is_edited_itself_is_found() -> None:
    def fact(id_: str, subject: str, *neighbours: str) -> EditRequest:
        return EditRequest(id_, "{} speaks", subject, "French", "Greek", neighborhood_prompts=neighbours)

    requests = [
        fact("a", "Anna", "Karl speaks", "Karlsson speaks", "In the morning, karl  Berg speaks"),
        fact("b", "Karl", "Anna's friend speaks", "Karl speaks", "Omar speaks"),
        fact("c", "Old River", "the Old Town speaks", "the old river, speaks"),
    ]
    # Its own subject is not another request's, and part of a word is no name.
    assert edited_neighbours(requests) == {"a": {0, 2}, "b": {0}}
    assert edited_neighbours(requests[:1]) == {}


def test_a_row_of_an_edited_neighbour_is_marked(llama: EditableModel, requests: list[EditRequest]) -> None:
    """Of the neighbours *the capital is* and *Omar plays*, none is edited until Omar is."""
    omar = EditRequest("f", "{} lives in", "Omar", "Nice", "Bari")
    for extra, wanted in (([], set()), ([omar], {"Omar plays"})):
        rows = measure(llama, [*requests, *extra], ["neighbourhood", "efficacy"])
        assert {row.prompt for row in rows if row.edited} == wanted


def test_a_request_without_a_true_answer_has_accuracy_only(llama: EditableModel) -> None:
    request = EditRequest("a", "the capital of {} is", "France", "Old Rome", "", neighborhood_prompts=("Omar plays",))
    (one,) = measure(llama, [request], ["efficacy", "neighbourhood"])
    assert (one.metric, one.nll_true, one.success, one.tokens) == ("efficacy", None, None, 2)
    assert 0 < exp(-(one.nll_new or 0)) < 1
