"""Published records of every data set become the same kind of request."""

from __future__ import annotations

from typing import Any

import pytest

from editflow.editing.errors import InvalidOption, InvalidRequest
from editflow.editing.requests.readers import READERS, read
from editflow.editing.requests.record import EditRequest, Question, check_all
from editflow.editing.requests.validation import find_faults

ZSRE = {
    "subject": "Lyon", "src": "What river does Lyon lie at?", "pred": "Rhine", "rephrase": "At which river is Lyon?",
    "alt": "Danube", "answers": ["Rhône", "the Rhône"], "loc": "nq question: who says red", "loc_ans": "Karl",
    "cond": "Rhine >> Danube || What river does Lyon lie at?",
}  # fmt: skip
EASY = {
    "prompt": "Who plays in Nice?", "subject": "Nice", "target_new": "Anna", "ground_truth": "Omar",
    "rephrase_prompt": "In Nice, who plays?",
    "locality": {"Relation_Specificity": [{"prompt": "Who plays in Bari?", "ground_truth": [["Lucia", "L."], ["x"]]}]},
    "portability": {"Reasoning": {"prompt": ["Whose is Nice?", "What is it?"], "ground_truth": ["Anna's", ["sea"]]}},
}  # fmt: skip
HOP = {
    "case_id": 1,
    "requested_rewrite": [
        {"prompt": "{} was born in", "relation_id": "P1", "subject": "Anna", "question": "Where was Anna born?",
         "target_new": {"str": "Rome", "id": "Q1"}, "target_true": {"str": "Nice", "id": "Q2"}},
        {"prompt": "{} is in", "relation_id": "P2", "subject": "Rome", "question": "Where is Rome?",
         "target_new": {"str": "Spain"}, "target_true": {"str": "Italy"}},
    ],
    "questions": ["In which country was Anna born?", "Anna's country of birth?"],
    "answer": "France", "new_answer": "Spain", "new_answer_alias": ["España"],
}  # fmt: skip


def requests(*records: dict[str, Any], dataset: str | None = None) -> list[EditRequest]:
    return check_all(read(((f"facts, record {n}", record) for n, record in enumerate(records, 1)), dataset))


def test_zsre_writes_the_right_answer() -> None:
    (request,) = requests(ZSRE)
    assert (request.filled, request.prompt) == ("What river does Lyon lie at?", "What river does {} lie at?")
    assert (request.target_new, request.target_true, request.aliases) == ("Rhône", "", ("the Rhône",))
    assert request.paraphrase_prompts == ("At which river is Lyon?",)
    # The file leaves the question mark out.
    assert request.locality == (Question("nq question: who says red?", ("Karl",)),)


def test_zsre_alt_writes_the_made_up_answer() -> None:
    (request,) = requests(ZSRE, dataset="zsre-alt")
    assert (request.target_new, request.target_true, request.aliases) == ("Danube", "Rhône", ())


def test_easyedits_nested_formats() -> None:
    (request,) = requests(EASY)
    assert request.prompt == "Who plays in {}?"
    assert (request.target_new, request.target_true) == ("Anna", "Omar")
    assert request.paraphrase_prompts == ("In Nice, who plays?",)
    assert request.locality == (Question("Who plays in Bari?", ("Lucia", "L.", "x")),)
    assert request.portability == (Question("Whose is Nice?", ("Anna's",)), Question("What is it?", ("sea",)))


def test_a_plain_table_has_the_same_columns() -> None:
    row = {"id": "7", "prompt": "{} speaks", "subject": "Karl", "target_new": "French", "relation": "speaks",
           "locality_prompt": "Who says red?", "locality_ground_truth": "Omar", "neighborhood_prompts": ["Anna speaks"],
           "target_true": "Greek"}  # fmt: skip
    (request,) = requests(row)
    assert (request.request_id, request.relation, request.filled) == ("7", "speaks", "Karl speaks")
    assert request.locality == (Question("Who says red?", ("Omar",)),)
    assert request.neighborhood_prompts == ("Anna speaks",)


def test_mquakes_questions_belong_to_the_last_rewrite() -> None:
    first, last = requests(HOP)
    assert (first.filled, first.target_new, first.relation) == ("Anna was born in", "Rome", "P1")
    assert first.paraphrase_prompts == ("Where was Anna born?",)
    assert first.portability == ()
    assert [question.prompt for question in last.portability] == HOP["questions"]
    assert {question.answers for question in last.portability} == {("Spain", "España")}
    assert {question.needs for question in last.portability} == {(first.request_id,)}


def test_a_rewrite_of_two_cases_is_one_request_with_the_questions_of_both() -> None:
    other = HOP | {"case_id": 2, "questions": ["Which land?"], "requested_rewrite": HOP["requested_rewrite"][1:]}
    _, last = requests(HOP, other)
    assert [question.prompt for question in last.portability] == [*HOP["questions"], "Which land?"]


@pytest.mark.parametrize("dataset", [name for name in READERS if name not in {"counterfact", "mquake"}])
def test_a_record_without_a_new_answer_is_refused_naming_its_place(dataset: str) -> None:
    record = {**(ZSRE if "zsre" in dataset else EASY)} | {"alt": "", "answers": [""], "target_new": ""}
    with pytest.raises(InvalidRequest, match="facts, record 1: "):
        requests(record, dataset=dataset)


def test_a_subject_that_its_prompt_does_not_name_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="subject 'Paris' is absent from its prompt"):
        requests(ZSRE | {"subject": "Paris"})


def test_an_unknown_format_is_refused_naming_the_data_sets() -> None:
    with pytest.raises(InvalidRequest, match="match no data set of counterfact, mquake, zsre, zsre-alt, flat"):
        requests({"sentence": "x", "label": 1})
    with pytest.raises(InvalidOption, match="unknown data set 'zrse': choose from counterfact"):
        requests(ZSRE, dataset="zrse")


def test_all_faults_are_found_and_valid_records_counted() -> None:
    twice, wrong, other = EASY | {"target_new": "Lucia"}, EASY | {"prompt": 5}, ["x"]
    near = EASY | {"prompt": "Who plays in Bari?", "subject": "Bari", "neighborhood_prompts": ["In Nice"]}
    near |= {"locality": {}, "portability": {}}
    records = [(f"line {n}", record) for n, record in enumerate([EASY, twice, wrong, other, near], 1)]
    found = find_faults(lambda: records)
    assert found.dataset == "flat"
    assert [fault.partition(":")[0] for fault in found.faults] == ["line 3", "line 4", "line 2"]
    assert "contradicts" in found.faults[-1]
    (row,) = found.counts()
    assert (row["facts"], row["locality"], row["portability"], row["neighbours edited too"]) == (2, 1, 2, 1)
