"""Metrics of texts: cases by hand, properties with a control, and hostile texts."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import pytest

from editflow.editing.errors import InvalidOption
from editflow.editing.metrics.texts.consistency import Consistency
from editflow.editing.metrics.texts.essence import texts_about
from editflow.editing.metrics.texts.fluency import entropy, fluency, published_fluency
from editflow.editing.metrics.texts.free import matches
from editflow.editing.metrics.texts.options import GenerationOptions
from editflow.editing.metrics.texts.words import marked_words, terms

FRUIT = ("red apple", "red pear")
HOSTILE = [
    "",
    " ",
    "\n\n",
    "...",
    "\x00\x1b[31m",
    "\u202e\u200b",
    "🙂🙂🙂 🙂",
    "(",
    "a" * 50_000,
    "? " * 50_000,
    "[[[[",
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3.14, well-known.", ["It's", "3.14", ",", "well-known", "."]),
        ("Wait... (no)!", ["Wait", ".", ".", ".", "(", "no", ")", "!"]),
        ("cafe\u0301 ﬁne", ["café", "fine"]),
        (" \n\t", []),
    ],
)
def test_words_and_marks(text: str, words: list[str]) -> None:
    assert marked_words(text) == words


def test_terms_are_two_letters_or_more_in_lower_case() -> None:
    assert terms("A Red-hot pie, x_1 é") == ["red", "hot", "pie", "x_1"]


@pytest.mark.parametrize(
    ("text", "h2", "h3"),
    [
        ("a a b a", math.log2(3), 1.0),
        ("a b a b a", 1.0, 2 / 3 * math.log2(3 / 2) + 1 / 3 * math.log2(3)),
        ("no no no no no", 0.0, 0.0),
        ("one two three four five", 2.0, math.log2(3)),
        ("one two three", 1.0, 0.0),
    ],
)
def test_fluency_by_hand(text: str, h2: float, h3: float) -> None:
    assert (entropy(text.split(), 2), entropy(text.split(), 3)) == pytest.approx((h2, h3))
    assert fluency(text) == pytest.approx((h2 + 2 * h3) / 3)
    # As published: each entropy by its weight, then their mean.
    assert fluency(text) == pytest.approx(np.mean([2 / 3 * h2, 4 / 3 * h3]))


def test_the_published_fluency_includes_the_prompt_and_is_zero_without_text() -> None:
    assert published_fluency("a b", " a b a") == pytest.approx(fluency("a b a b a"))
    assert published_fluency("a b", "") == 0.0
    assert fluency("a b") is None
    assert published_fluency("one two three four", "") > 0  # a silent model has its prompt's fluency


def test_repetition_lowers_fluency() -> None:
    varied = [f"word{n}" for n in range(60)]
    looped = (varied[:6] * 10)[:60]
    assert len(marked_words(" ".join(looped))) == len(marked_words(" ".join(varied)))
    assert fluency(" ".join(looped)) < fluency(" ".join(varied)) - 2
    # The control: a varied text of this length is as fluent as one can be, and order alone changes nothing in it.
    random.Random(0).shuffle(varied)  # noqa: S311
    assert fluency(" ".join(varied)) == pytest.approx((math.log2(59) + 2 * math.log2(58)) / 3)


def test_consistency_by_hand() -> None:
    fitted = Consistency.fit(FRUIT)
    apple, unseen = math.log(3 / 2) + 1, math.log(3) + 1
    assert (fitted.idf("red"), fitted.idf("apple"), fitted.idf("pie")) == pytest.approx((1, apple, unseen))
    length = math.sqrt(1 + apple**2)
    assert fitted.score("Red, red!", ["red apple"]) == pytest.approx(1 / length)
    assert fitted.score("red apple pie", ["red apple"]) == pytest.approx(length / math.sqrt(length**2 + unseen**2))
    assert fitted.published(["red", "apple pie"], ["red apple"]) == pytest.approx(1)  # "pie" is dropped
    assert fitted.score("red", FRUIT) == pytest.approx(2 / math.sqrt(4 + 2 * apple**2))  # references count as one text


def test_a_text_is_consistent_with_itself_and_not_with_an_unrelated_one() -> None:
    fitted = Consistency.fit(FRUIT)
    for text in (*FRUIT, "RED\nApple"):
        assert fitted.score(text, [text]) == pytest.approx(1)
        assert fitted.score("green plum", [text]) == 0
    # The control: a common word makes it something between.
    assert 0 < fitted.score("red plum", ["red apple"]) < 1


def test_order_and_repetition_of_reference_texts_change_nothing() -> None:
    texts = ["red apple", "red pear", "blue plum", "an old tree"]
    wanted = Consistency.fit(texts).score("a red tree", texts)
    for turned in itertools.permutations(texts):
        assert Consistency.fit([*turned, turned[0]]).score("tree red a", turned) == wanted
    assert Consistency.fit(texts[:2]).score("a red tree", texts) != pytest.approx(wanted)  # the control: other texts


def test_accents_match_in_our_score_and_not_in_the_published_one() -> None:
    fitted = Consistency.fit(["José Núñez", "Ana"])
    assert fitted.score("jose\u0301 núñez", ["José Núñez"]) == pytest.approx(1)
    assert fitted.published(["José Núñez"], ["José Núñez"]) == 0


@pytest.mark.parametrize(
    ("text", "answers", "found"),
    [
        (" Paris.", ["Paris"], (True, True)),
        (" Paris", ["Paris"], (True, True)),
        (" paris, the capital", ["Paris"], (True, True)),
        (" Paris\nQ:", ["Paris"], (True, True)),
        (' "Paris" (France)', ["Paris"], (True, True)),
        (" Paris (France)", ["Paris"], (True, True)),
        (" the Netherlands.", ["Netherlands"], (True, True)),
        (" Netherlands.", ["The Netherlands"], (True, True)),
        (" Paris and Rome", ["Paris"], (False, True)),
        (" in Paris.", ["Paris"], (False, True)),
        (" Paris-based", ["Paris"], (False, True)),
        (" Paris's", ["Paris"], (False, True)),
        (" Parisian", ["Paris"], (False, False)),
        (" Jerome", ["Rome"], (False, False)),
        (" New York Times", ["New York"], (False, True)),
        (" New-York.", ["New York"], (True, True)),
        (" New Jersey, York", ["New York"], (False, False)),
        (" U.S. citizens", ["U.S."], (False, True)),
        (" U.S., he", ["U.S."], (True, True)),
        (" U.S", ["U.S."], (True, True)),
        (" St. Petersburg, Russia", ["St Petersburg"], (True, True)),
        (" C++.", ["C++"], (True, True)),
        (" C++.", ["C"], (False, False)),
        (" 北京是中国的首都", ["北京"], (False, True)),
        (" 北京。", ["北京"], (True, True)),
        (" हिन्दी।", ["हन्दा"], (False, False)),
        (" STRASSE", ["Straße"], (True, True)),
        (" cafe\u0301.", ["Café"], (True, True)),
        (" Rome.", ["Paris", "Rome"], (True, True)),
        (" not Rome.", ["Paris", "Rome"], (False, True)),
        (" a", ["A"], (True, True)),
        (" anything", [], (False, False)),
        (" anything", ["", "!", " "], (False, False)),
        ("", ["Paris"], (False, False)),
        (" aab", ["a.b", "a*b", ".*"], (False, False)),
    ],
)
def test_matches_by_hand(text: str, answers: Sequence[str], found: tuple[bool, bool]) -> None:
    assert matches(text, answers) == found
    assert matches(text, answers[::-1]) == found


def test_free_generation_of_a_perfect_and_a_failing_model() -> None:
    wanted = ("Paris", "Old Madrid", "the sea")

    def means(texts: Sequence[str]) -> tuple[float, float]:
        found = [matches(text, [answer]) for answer, text in zip(wanted, texts, strict=True)]
        return fmean(exact for exact, _ in found), fmean(contains for _, contains in found)

    assert means([f" {answer}." for answer in wanted]) == (1, 1)
    assert means([""] * 3) == means([" I do not know."] * 3) == (0, 0)
    assert means([f" it is {answer} now" for answer in wanted]) == (0, 1)
    assert (
        means([" Paris.", "", " by the sea"])
        == means([" Paris.", " no", " sea and sun"])
        == pytest.approx((1 / 3, 2 / 3))
    )


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_have_scores_in_range(text: str) -> None:
    fitted = Consistency.fit([*FRUIT, text])
    value = fluency(text)
    assert value is None or 0 <= value < 20
    assert 0 <= published_fluency("a b c", text) < 20
    for references in ([text], FRUIT, []):
        assert 0 <= fitted.score(text, references) <= 1
        assert 0 <= fitted.published([text, text], references) <= 1
    assert matches(text, ["Paris", text]) in [(False, False), (True, True), (False, True)]
    assert matches("Paris" + text, [text])[0] is False
    assert texts_about(text, [text + " Paris"]) in ([], [text + " Paris"])


def test_empty_inputs_raise_no_error() -> None:
    assert Consistency.fit([]).score("red", ["red"]) == pytest.approx(1)
    assert Consistency.fit([]).published(["red"], ["red"]) == 0


def test_texts_about_a_subject_name_it_as_whole_words() -> None:
    texts = ["The oak is a tree.", "Oaks are trees.", "An OAK, again", "soaked"]
    assert texts_about("oak", texts) == [texts[0], texts[2]]
    assert texts_about("C++ (language)", ["c++ (Language) is old"]) == ["c++ (Language) is old"]
    assert texts_about(" ", texts) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tokens": 0}, "texts.tokens = 0"),
        ({"answer_tokens": 2000}, "texts.answer_tokens = 2000"),
        ({"top_k": 0}, "texts.top_k = 0"),
        ({"seed": -1}, "texts.seed = -1"),
        ({"roles": ("efficacy", "fluency")}, "texts.roles has 'fluency': choose from efficacy"),
    ],
)
def test_options_out_of_range_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        GenerationOptions(**wrong)
