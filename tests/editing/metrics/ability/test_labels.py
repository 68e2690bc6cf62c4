"""Labels of every set on five records with an obvious answer, and the errors for invalid records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from editflow.editing.errors import InvalidCase, InvalidOption
from editflow.editing.metrics.ability.sets import ABILITY_SETS, ability_set

CAT = "A cat is asleep on the warm roof."
CAPITALS = {"question": "What is the capital of France?", "choices": ["Rome", "Paris", "Madrid", "Berlin"]}


def pair(one: str, other: str, label: int | str) -> dict[str, Any]:
    return {"sentence1": one, "sentence2": other, "label": label}


ENTAILMENT = [
    (CAT, "An animal is asleep.", True),
    (CAT, "A dog is awake in the garden.", False),
    ("Anna bought three red apples.", "Anna bought apples.", True),
    ("Nobody came to the party.", "The party was full of guests.", False),
    ("The bridge was opened in 1932 by the mayor.", "The mayor opened the bridge.", True),
]
YES = {True: "Yes", False: "No"}
RECORDS: dict[str, list[tuple[dict[str, Any], str]]] = {
    "sst2": [
        ({"sentence": "a wonderful film that i loved from start to end ", "label": 1}, "positive"),
        ({"sentence": "dull , badly acted and far too long", "label": 0}, "negative"),
        ({"sentence": "the best comedy of the year", "label": 1}, "positive"),
        ({"sentence": "a complete waste of time", "label": 0}, "negative"),
        ({"sentence": "i want my money back", "label": "negative"}, "negative"),
    ],
    "mrpc": [
        (pair("The firm sold its shop on Monday.", "On Monday the company sold its store.", 1), "Yes"),
        (pair("The firm sold its shop on Monday.", "It rained all day in the north.", 0), "No"),
        (pair("He was born in Rome.", "Rome is where he was born.", 1), "Yes"),
        (pair("Shares rose by two percent.", "The singer cancelled her concert.", 0), "No"),
        (pair("Police arrested two men.", "Two men were arrested by police.", "equivalent"), "Yes"),
    ],
    "cola": [
        ({"sentence": "The children are playing in the garden.", "label": 1}, "Yes"),
        ({"sentence": "Children the garden playing in are the.", "label": 0}, "No"),
        ({"sentence": "She has never been to Spain.", "label": 1}, "Yes"),
        ({"sentence": "Him likes to she apples.", "label": 0}, "No"),
        ({"sentence": "What did you the book read?", "label": "unacceptable"}, "No"),
    ],
    "rte": [(pair(a, b, 0 if follows else 1), YES[follows]) for a, b, follows in ENTAILMENT],
    "nli": [(pair(a, b, "entailment" if f else "not_entailment"), YES[f]) for a, b, f in ENTAILMENT],
    "mmlu": [
        (CAPITALS | {"answer": 1}, "B"),
        ({"question": "What is 2 + 2?", "choices": ["4", "5", "22", "0"], "answer": 0}, "A"),
        ({"question": "Which is a metal?", "choices": ["air", "milk", "wood", "iron"], "answer": 3}, "D"),
        ({"question": "Which flies?", "choices": ["a whale", "a stone", "a swallow", "a tree"], "answer": 2}, "C"),
        (CAPITALS | {"answer": "B"}, "B"),
    ],
}
CASES = [(name, record, right) for name, pairs in RECORDS.items() for record, right in pairs]


def test_every_set_has_five_records() -> None:
    assert {name: len(pairs) for name, pairs in RECORDS.items()} == dict.fromkeys(ABILITY_SETS, 5)


@pytest.mark.parametrize(("name", "record", "right"), CASES)
def test_a_clear_record_has_the_label_that_a_person_would_give(name: str, record: dict[str, Any], right: str) -> None:
    case = ability_set(name).case("here", record, "7")
    assert case.label == right
    assert case.case_id == "7"
    texts = [text for value in record.values() for text in (value if isinstance(value, list) else [value])]
    assert all(text.strip() in case.prompt for text in texts if isinstance(text, str) and " " in text)


@pytest.mark.parametrize("name", ABILITY_SETS)
def test_inverted_labels_would_be_noticed(name: str) -> None:
    """The control: with inverted labels, no record keeps its label."""
    right = ability_set(name)
    turned = replace(right, labels={key: right.options[right.options.index(o) - 1] for key, o in right.labels.items()})
    assert all(turned.case("here", record, "0").label != label for record, label in RECORDS[name])


@pytest.mark.parametrize("name", ABILITY_SETS)
def test_every_set_gives_valid_questions(name: str) -> None:
    """A prompt ends with a sign, so that an option can follow after a space; the options differ and are all named."""
    declared = ability_set(name)
    case = declared.case("here", RECORDS[name][0][0], "0")
    assert case.prompt == case.prompt.strip()
    assert len({option.casefold() for option in case.options}) == len(case.options) >= 2
    assert case.prompt.endswith(":")
    assert declared.name == name
    assert "arXiv" in declared.source
    assert {record["label" if name != "mmlu" else "answer"] for record, _ in RECORDS[name]} <= set(declared.labels)


def test_a_choice_follows_its_letter() -> None:
    prompt = ability_set("mmlu").case("here", CAPITALS | {"answer": 1}, "0").prompt
    assert prompt.splitlines()[1:5] == ["A. Rome", "B. Paris", "C. Madrid", "D. Berlin"]


def test_ids_of_the_file_are_used_if_it_has_any() -> None:
    record = {"sentence": "good", "label": 1}
    found = [ability_set("sst2").case("", record | own, "9").case_id for own in ({"idx": 0}, {"index": "12"}, {})]
    assert found == ["0", "12", "9"]


@pytest.mark.parametrize(
    ("name", "record", "message"),
    [
        ("sst2", {"sentence": "good", "label": 2}, r"label 2 is none of sst2's; give one of 0 \(negative\), 1 \(pos"),
        ("rte", pair("a", "b", -1), "label -1 is none of rte's.*test splits"),
        ("rte", pair("a", "b", "Entailment"), "label 'Entailment' is none"),
        ("nli", pair("a", "b", 0), r"label 0 is none of nli's; give one of 'entailment' \(Yes\)"),
        ("cola", {"sentence": "good", "label": True}, "label True is none"),
        ("cola", {"sentence": "good", "label": 1.0}, "label 1.0 is none"),
        ("cola", {"sentence": "good", "label": [1]}, r"label \[1\] is none"),
        (
            "mrpc",
            {"sentence1": "a", "label": 1},
            r"field 'sentence2' is missing \(it has sentence1, label\); mrpc needs",
        ),
        ("mrpc", {"sentence1": "a", "sentence2": "b"}, "field 'label' is missing"),
        ("sst2", {}, r"field 'sentence' is missing \(it has no fields\)"),
        ("sst2", {"sentence": " ", "label": 1}, "field 'sentence' is not a text, or empty"),
        ("sst2", {"sentence": None, "label": 1}, "field 'sentence' is not a text"),
        ("sst2", {"sentence": "\ud83d", "label": 1}, "holds half a character"),
        ("sst2", ["good", 1], "a record of sst2 must be an object; give it sentence, label"),
        ("mmlu", CAPITALS | {"answer": "E"}, "answer 'E' is none of mmlu's"),
        ("mmlu", CAPITALS | {"answer": 1, "choices": "abcd"}, "field 'choices' is not a list of 4 texts"),
        ("mmlu", CAPITALS | {"answer": 1, "choices": ["a", "b", "c"]}, "holds 3 texts; mmlu needs 4"),
    ],
)
def test_an_invalid_record_is_reported_in_one_line(name: str, record: Any, message: str) -> None:
    with pytest.raises(InvalidCase, match=rf"^x.jsonl, line 3: [^\n]*{message}"):
        ability_set(name).case("x.jsonl, line 3", record, "0")


def test_numbers_in_tables_may_be_text() -> None:
    film = {"sentence": "good"}
    assert [ability_set("sst2").case("", film | {"label": n}, "0").label for n in ("0", "1")] == [
        "negative",
        "positive",
    ]
    with pytest.raises(InvalidCase, match="label 2 is none of sst2's"):
        ability_set("sst2").case("here", film | {"label": "2"}, "0")
    with pytest.raises(InvalidCase, match="label 0 is none of nli's"):
        ability_set("nli").case("here", pair("a", "b", "0"), "0")


def test_an_unknown_set_is_named() -> None:
    with pytest.raises(InvalidOption, match="unknown ability set 'qqp': choose from sst2, mrpc"):
        ability_set("qqp")
