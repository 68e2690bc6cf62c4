"""Requests: accepted and refused records; every refusal names the place and the remedy."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from support.tiny_words import word_tokenizer

from editflow.editing.errors import InvalidRequest
from editflow.editing.models.tokens import continuation, encode, locate
from editflow.editing.requests.readers import read
from editflow.editing.requests.record import EditRequest, check_all

RECORD: dict[str, Any] = {
    "case_id": 7,
    "requested_rewrite": {
        "prompt": "the capital of {} is",
        "subject": "France",
        "target_new": {"str": "Rome"},
        "target_true": {"str": "Paris"},
    },
    "paraphrase_prompts": ["in France it is", "in France it is", "France is "],
    "neighborhood_prompts": ["the capital of Spain is"],
    "generation_prompts": ["tourists in France visit", "tourists in France visit "],
}


def request_of(record: Any) -> EditRequest:
    (request,) = check_all(read([("facts.jsonl, line 3", record)]))
    return request


def changed(path: str, value: Any) -> dict[str, Any]:
    record = copy.deepcopy(RECORD)
    *sections, last = path.split(".")
    here = record
    for section in sections:
        here = here[section]
    if value is None:
        del here[last]
    else:
        here[last] = value
    return record


def test_all_fields_of_a_record_are_read() -> None:
    request = request_of(RECORD)
    assert request.request_id == "7"
    assert request.filled == "the capital of France is"
    assert (request.target_new, request.target_true) == ("Rome", "Paris")
    assert request.paraphrase_prompts == ("in France it is", "France is")
    assert request.neighborhood_prompts == ("the capital of Spain is",)
    assert request.generation_prompts == ("tourists in France visit",)
    assert request_of(changed("generation_prompts", None)).generation_prompts == ()
    without = request_of(changed("case_id", None))
    assert len(without.request_id) == 16
    assert without.request_id == request_of(changed("case_id", None)).request_id


def test_an_edit_does_not_depend_on_evaluation_prompts() -> None:
    request = request_of(RECORD)
    bare = {name: value for name, value in RECORD.items() if not name.endswith("_prompts")}
    assert request.rewrite == request_of(bare) != request


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("requested_rewrite", None, "the fields match no data set"),
        ("requested_rewrite.prompt", "the capital is", "subject 'France' is absent from its prompt"),
        ("requested_rewrite.prompt", "the capital of France is", "has 0 `{}`"),
        ("requested_rewrite.prompt", "{} and {} is", "has 2 `{}`"),
        ("requested_rewrite.prompt", "the capital of {} is ", "ends with a space"),
        ("requested_rewrite.prompt", 5, "'prompt' is a number"),
        ("requested_rewrite.subject", " ", "subject is empty"),
        ("requested_rewrite.subject", "Fr\ud800ance", r"'Fr\ud800ance' holds half a character"),
        ("case_id", "\udfff", r"'\udfff' holds half a character"),
        ("paraphrase_prompts", ["in\ud800 France"], "holds half a character"),
        ("requested_rewrite.target_new", {"str": ""}, "new target is empty"),
        ("requested_rewrite.target_new", {"text": "x"}, "'target_new' is missing or not text"),
        ("requested_rewrite.target_new", {"str": "Paris"}, "are both 'Paris'"),
        ("requested_rewrite.target_true", None, "'target_true' is missing"),
        ("paraphrase_prompts", "France", "not a list of texts"),
        ("neighborhood_prompts", [""], "is empty"),
        ("generation_prompts", [5], "'generation_prompts' is not a list of texts"),
        ("generation_prompts", [""], "is empty"),
        ("generation_prompts", ["in\ud800 France"], "holds half a character"),
    ],
)
def test_faults_are_reported_with_their_place(path: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^facts.jsonl, line 3: ") as caught:
        request_of(changed(path, value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)  # a remedy follows


def test_a_record_must_be_an_object() -> None:
    with pytest.raises(InvalidRequest, match="must be an object, not a list"):
        request_of([1])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("case_id", 8, "duplicates facts.jsonl, line 1"),
        ("requested_rewrite.target_new", {"str": "Nice"}, "contradicts"),
        ("requested_rewrite.subject", "Spain", "id '7' is already used at facts.jsonl, line 1"),
    ],
)
def test_duplicates_and_conflicts(path: str, value: Any, message: str) -> None:
    pair = [("facts.jsonl, line 1", RECORD), ("facts.jsonl, line 2", changed(path, value))]
    with pytest.raises(InvalidRequest, match=r"^facts.jsonl, line 2: ") as caught:
        check_all(read(pair))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rewrite", "relation", "message"),
    [
        ({"prompt": "the  capital of {} is"}, None, "duplicates"),
        ({"prompt": "the  capital of {} is", "target_new": "Nice"}, None, "contradicts (→ 'Rome', → 'Nice')"),
        ({"subject": "FRANCE"}, None, "duplicates"),
        ({"prompt": "{} is ruled from", "subject": "france"}, "capital", "duplicates"),
        ({"prompt": "{} is ruled from", "target_new": "Nice"}, "capital", "contradicts (→ 'Rome', → 'Nice')"),
        ({"prompt": "{} is ruled from", "target_new": "Nice"}, None, None),
        ({"prompt": "{} is ruled from", "target_new": "Nice"}, "seat", None),
        ({"prompt": "{} is ruled from", "subject": "Spain"}, "capital", None),
    ],
)
def test_one_fact_in_other_words(rewrite: dict[str, str], relation: str | None, message: str | None) -> None:
    """Subject and relation make a fact, and so do subject and prompt; the last three rows are the control."""
    first = {**RECORD, "relation": "capital"}
    second = {"case_id": 8, "relation": relation, "requested_rewrite": {**RECORD["requested_rewrite"], **rewrite}}
    pair = read([("facts.jsonl, line 1", first), ("facts.jsonl, line 2", second)])
    if message is None:
        assert len(check_all(pair)) == 2
    else:
        with pytest.raises(InvalidRequest, match=r"^facts.jsonl, line 2: ") as caught:
            check_all(pair)
        assert f"{message} facts.jsonl, line 1" in str(caught.value)


@pytest.mark.parametrize("bos", [False, True])
def test_the_lookup_is_the_subjects_last_token(bos: bool) -> None:
    tokenizer = word_tokenizer(bos=bos)
    located = locate(tokenizer, "who lives in {} , says", "Van Der Berg", "test")
    words = tokenizer.convert_ids_to_tokens(located.ids)
    assert words[located.lookup] == "Berg"
    assert (words[0] == "<s>") is bos
    again = locate(tokenizer, "Berg says {} lives", "Berg", "test")  # the slot decides, not the first match
    assert again.lookup == 2 + bos


@pytest.mark.parametrize("bos", [False, True])
def test_targets_are_split_where_the_prompt_ends(bos: bool) -> None:
    tokenizer = word_tokenizer(bos=bos)
    prompt, target = continuation(tokenizer, "Anna lives in", "Old Madrid", "test")
    assert tokenizer.convert_ids_to_tokens(target) == ["Old", "Madrid"]
    assert prompt == encode(tokenizer, "Anna lives in")[0]
    with pytest.raises(InvalidRequest, match="the tokenizer merges"):
        continuation(tokenizer, "Anna lives in", "", "test")
