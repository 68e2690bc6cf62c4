"""The published formats of data sets, field by field, and their variants in tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from editflow.editing.errors import InvalidRequest
from editflow.editing.metrics.registry import METRICS
from editflow.editing.requests.readers import read
from editflow.editing.requests.record import EditRequest, Question, check_all
from editflow.editing.requests.validation import find_faults

FACT = {"prompt": "Where is Ann?", "subject": "Ann", "target_new": "Rome"}
MULTI = {
    "case_id": 17, "pararel_idx": 3, "attribute_prompts": ["Bo is in"], "generation_prompts": ["Ann enjoys"],
    "requested_rewrite": {
        "prompt": "{} is in", "relation_id": "P1", "subject": "Ann",
        "target_new": {"str": "Rome", "id": "Q1"}, "target_true": {"str": "Nice", "id": "Q2"},
    },
    "paraphrase_prompts": ["Ann can be found in"], "neighborhood_prompts": ["Karl is in", "Omar is in"],
}  # fmt: skip
KNOWEDIT = {
    "wiki_recent": FACT | {
        "rephrase": "In which city is Ann?",
        "portability": {"Logical_Generalization": [{"prompt": "Whose is Ann?", "ground_truth": [["Rome", "Roma"]]}]},
        "locality": {"Relation_Specificity": [{"prompt": "Who is Ann?", "ground_truth": [["a girl"], ["one"]]}]},
    },
    "wiki_counterfact": FACT | {
        "ground_truth": ["Nice"],
        "portability": {"Reasoning": [{"prompt": "Ann's land?", "ground_truth": [["Italy"]]}], "Subject_Aliasing": []},
        "locality": {"Forgetfulness": [{"prompt": "Ann was in", "ground_truth": [[""]]}]},
    },
    "zsre": FACT | {
        "ground_truth": ["Nice"], "rephrase_prompt": "Which city is Ann in?", "cond": "…",
        "locality": {"Relation_Specificity": [{"prompt": "Ann's sex", "ground_truth": ["female"]}]},
    },
    "wikibio": {
        "text": "This is a passage about ann. Ann was", "concept": "ann", "labels": "a girl of Rome.",
        "locality": {"Relation_Specificity": [{"prompt": "ann occupation", "ground_truth": [["singer"]]}]},
    },
}  # fmt: skip


def requests(*records: dict[str, Any], dataset: str | None = None) -> list[EditRequest]:
    return check_all(read(((f"facts, record {n}", record) for n, record in enumerate(records, 1)), dataset))


def only(record: dict[str, Any], dataset: str | None = None) -> EditRequest:
    (request,) = requests(record, dataset=dataset)
    return request


def test_multi_counterfact() -> None:
    request = only(MULTI)
    assert (request.request_id, request.relation, request.filled) == ("17", "P1", "Ann is in")
    assert (request.target_new, request.target_true) == ("Rome", "Nice")
    assert request.neighborhood_prompts == ("Karl is in", "Omar is in")
    assert request.generation_prompts == ("Ann enjoys",)
    found = find_faults(lambda: [("line 1", MULTI), ("line 2", MULTI | {"case_id": 18})])
    assert found.unread == Counter({"pararel_idx": 2, "attribute_prompts": 2})
    assert len(found.faults) == 1  # the second is the same fact


@pytest.mark.parametrize("name", KNOWEDIT)
def test_knowedit(name: str) -> None:
    request = only(KNOWEDIT[name])
    questions = (*request.locality, *request.portability)
    assert request.filled == KNOWEDIT[name].get("prompt", KNOWEDIT[name].get("text"))
    assert questions
    assert request.target_true == ("Nice" if "ground_truth" in KNOWEDIT[name] else "")
    found = find_faults(lambda: [("line 1", KNOWEDIT[name])])
    assert (found.dataset, found.faults) == ("flat", [])
    assert found.unread == Counter({"cond": 1} if name == "zsre" else {})
    assert found.unanswered == (name == "wiki_counterfact")


def test_a_question_without_an_answer_is_not_asked() -> None:
    request = only(KNOWEDIT["wiki_counterfact"])
    assert request.locality == (Question("Ann was in", ()),)
    assert METRICS["locality"].asks(request) == ()
    assert len(METRICS["portability"].asks(request)) == 1  # control


def test_easyedits_new_question_is_asked_only_with_zsre_alt() -> None:
    record = {
        "subject": "Ann", "src": "Where is Ann?", "alt": "Bari", "answers": ["Rome"],
        "portability": {"Recalled Relation": "in", "New Question": "Her region?", "New Answer": "Puglia"},
    }  # fmt: skip
    assert only(record, "zsre-alt").portability == (Question("Her region?", ("Puglia",)),)
    assert only(record).portability == ()  # of the right answer nothing of the kind follows
    with pytest.raises(InvalidRequest, match="field 'portability' is not an object"):
        only(record | {"portability": "x"}, "zsre-alt")
    with pytest.raises(InvalidRequest, match="a question without text or answer"):
        only(record | {"portability": {"New Question": "x"}}, "zsre-alt")


def test_nulls_in_tables_are_ignored() -> None:
    asked = [{"prompt": "Who?", "ground_truth": ["Bo", None]}]
    for nulls in ({"A": asked, "B": None}, {"A": asked, "B": {"prompt": None, "ground_truth": None}}):
        row = FACT | {"locality": nulls, "portability": None, "target_true": None, "locality_prompt": None, "x": None}
        assert only(row).locality == (Question("Who?", ("Bo",)),)
        assert not find_faults(lambda row=row: [("line 1", row)]).unread


def test_answers_are_paired_with_prompts() -> None:
    def asked(prompt: Any, answer: Any) -> list[tuple[str, tuple[str, ...]]]:
        found = only(FACT | {"locality_prompt": prompt, "locality_ground_truth": answer}).locality
        return [(question.prompt, question.answers) for question in found]

    assert asked("a?", "xy") == [("a?", ("xy",))]
    assert asked("a?", ["x", "y"]) == [("a?", ("x", "y"))]
    assert asked(["a?", "b?"], ["x", ["y", "z"]]) == [("a?", ("x",)), ("b?", ("y", "z"))]
    assert asked(["a?", "b?"], "xy") == [("a?", ("xy",)), ("b?", ("xy",))]  # and not a letter each
    for prompt, answer in ((["a?", "b?"], ["x"]), (["a?"], ["x", "y"]), (None, "x"), ("a?", None), ("a?", 5)):
        with pytest.raises(InvalidRequest, match="without text or answer|an answer is a number"):
            asked(prompt, answer)


@pytest.mark.parametrize("name", ["target_new", "ground_truth"])
def test_an_answer_that_is_not_text_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^facts, record 1: an answer is a number: 1932; make it text$"):
        only(FACT | {name: ["Rome", 1932]})


def test_the_subject_is_found_as_whole_words_first() -> None:
    assert only(FACT | {"subject": "Art", "prompt": "Arthur's Art is in"}).prompt == "Arthur's {} is in"
    assert only(FACT | {"subject": "Art", "prompt": "Arthur is in"}).prompt == "{}hur is in"
    assert only(FACT | {"subject": "C++", "prompt": "C++ is in C++"}).prompt == "{} is in C++"
    assert only(FACT | {"subject": "Art", "prompt": "Arthur and {} are in"}).filled == "Arthur and Art are in"


def test_a_case_of_mquake_needs_its_answer() -> None:
    rewrite = MULTI["requested_rewrite"]
    with pytest.raises(InvalidRequest, match="field 'new_answer' is missing"):
        only({"requested_rewrite": [rewrite], "questions": ["Where?"]})


@pytest.mark.parametrize("first", ["prompt", "src", "text"])
@pytest.mark.parametrize("second", ["subject", "concept"])
def test_every_column_name_identifies_the_format(first: str, second: str) -> None:
    assert only({first: "Where is Ann?", second: "Ann", "labels": "Rome"}).filled == "Where is Ann?"
