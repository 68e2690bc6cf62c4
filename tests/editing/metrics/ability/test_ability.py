"""General ability: statistics of tables by hand, the choice of questions, and both modes."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from oracle import literal

from editflow.editing.errors import InvalidCase, InvalidOption
from editflow.editing.metrics.ability.asking import ask, likeliest_option, parse_option
from editflow.editing.metrics.ability.confusion import STATISTICS, confusion, interval, paired_interval, unanswered
from editflow.editing.metrics.ability.declaration import AbilityCase
from editflow.editing.metrics.ability.modes import check_modes
from editflow.editing.metrics.ability.sets import ABILITY_SETS, Located, draw
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.generation import continue_text
from editflow.editing.models.tokens import continuation

Pairs = list[tuple[str, str | None]]
OPTIONS = {"two": ("No", "Yes"), "four": ("A", "B", "C", "D")}


def values(options: tuple[str, ...], pairs: Pairs) -> dict[str, float]:
    table = confusion(options, pairs)
    return {name: float(statistic(table)) for name, statistic in STATISTICS.items()}


def repeated(**counts: int) -> Pairs:
    """`repeated(NoYes=3)`: three questions whose answer is No, answered Yes; a hyphen stands for no answer."""
    names = {"No": "No", "Ye": "Yes", "na": None}
    return [(names[key[:2]] or "", names[key[-2:]]) for key, count in counts.items() for _ in range(count)]


def test_a_table_by_hand() -> None:
    """No: 6 questions, 4 right, 2 said Yes; Yes: 4 questions, 1 right, 2 said No, 1 without an answer."""
    found = values(OPTIONS["two"], repeated(NoNo=4, NoYe=2, YeYe=1, YeNo=2, Yena=1))
    assert found["accuracy"] == pytest.approx(5 / 10)
    # F1 of No: 2·4 / (6 + 6); of Yes: 2·1 / (4 + 3); weighted 6 to 4.
    assert found["f1"] == pytest.approx(0.6 * 8 / 12 + 0.4 * 2 / 7)
    # (10·5 − (6·6 + 4·3)) / √((100 − 36 − 16)(100 − 36 − 9 − 1))
    assert found["mcc"] == pytest.approx(2 / (48 * 54) ** 0.5)


def test_two_options_give_matthews_formula() -> None:
    """(TP·TN − FP·FN) / √((TP + FP)(TP + FN)(TN + FP)(TN + FN))"""
    tp, tn, fp, fn = 7, 5, 3, 2
    found = values(OPTIONS["two"], repeated(YeYe=tp, NoNo=tn, NoYe=fp, YeNo=fn))
    root = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    assert found["mcc"] == pytest.approx((tp * tn - fp * fn) / root)


def test_three_options_by_hand() -> None:
    """Labels 2, 2, 2; said 3, 2, 1; right 2, 1, 1: (6·4 − 12) / √((36 − 12)(36 − 14))."""
    pairs: Pairs = [("a", "a"), ("a", "a"), ("b", "b"), ("b", "a"), ("c", "c"), ("c", "b")]
    found = values(("a", "b", "c"), pairs)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["f1"] == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)
    assert found["mcc"] == pytest.approx(12 / (24 * 22) ** 0.5)


@pytest.mark.parametrize("name", ABILITY_SETS)
def test_all_right_scores_one_and_all_wrong_the_minimum(name: str) -> None:
    options = ABILITY_SETS[name].options
    labels = options * 3
    assert values(options, [(label, label) for label in labels]) == pytest.approx({"accuracy": 1, "f1": 1, "mcc": 1})
    wrong: Pairs = [(label, options[options.index(label) - 1]) for label in labels]
    floor = -1 / (len(options) - 1)  # −1 of two options
    assert values(options, wrong) == pytest.approx({"accuracy": 0, "f1": 0, "mcc": floor})
    silent: Pairs = [(label, None) for label in labels]
    assert values(options, silent) == {"accuracy": 0, "f1": 0, "mcc": 0}
    constant: Pairs = [(label, options[0]) for label in labels]
    assert values(options, constant)["mcc"] == 0
    assert values(options, constant)["accuracy"] == pytest.approx(1 / len(options))


def test_equal_labels_have_no_mcc() -> None:
    pairs = repeated(YeYe=3, YeNo=1)
    table = confusion(OPTIONS["two"], pairs)
    assert np.isnan(STATISTICS["mcc"](table))
    assert interval(table, STATISTICS["mcc"]) is None
    assert values(OPTIONS["two"], pairs)["accuracy"] == 0.75
    assert values(OPTIONS["two"], pairs)["f1"] == pytest.approx(2 * 3 / (4 + 3))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_order_changes_nothing(options: tuple[str, ...]) -> None:
    drawn = random.Random(5)  # noqa: S311
    pairs: Pairs = [(drawn.choice(options), drawn.choice((*options, None))) for _ in range(60)]
    mixed = drawn.sample(pairs, len(pairs))
    table = confusion(options, pairs)
    assert (confusion(options, mixed) == table).all()
    turned = confusion(options[::-1], pairs)
    for statistic in STATISTICS.values():
        assert statistic(turned) == pytest.approx(statistic(table))  # nor does the order of the options
    broken: Pairs = [(label, options[0]) for label, _ in pairs]
    assert (confusion(options, broken) != table).any()  # control


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_interval_equals_that_of_resampled_questions(statistic: str) -> None:
    pairs = repeated(NoNo=20, NoYe=10, YeYe=15, YeNo=12, Yena=3)
    found = interval(confusion(OPTIONS["two"], pairs), STATISTICS[statistic])
    drawn = random.Random(3)  # noqa: S311
    again = [values(OPTIONS["two"], drawn.choices(pairs, k=len(pairs)))[statistic] for _ in range(2000)]
    assert found is not None
    assert (found.low, found.high) == pytest.approx(np.quantile(again, (0.025, 0.975)), abs=0.02)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found == interval(confusion(OPTIONS["two"], pairs[::-1]), STATISTICS[statistic])
    alone = interval(confusion(OPTIONS["two"], pairs[:1]), STATISTICS["accuracy"])
    assert alone == (1.0, None, None)


def test_a_change_is_measured_on_the_same_questions() -> None:
    """Equal answers give a change of exactly 0, however wide the interval of accuracy; other answers do not."""
    same = np.zeros((2, 3, 3))
    same[0, 0, 0], same[0, 1, 1], same[1, 1, 1], same[1, 2, 2] = 5, 3, 6, 2
    other = np.zeros((2, 3, 3))
    other[0, 0, 1], other[1, 1, 1] = 6, 10  # six right answers became wrong
    for name, statistic in STATISTICS.items():
        unsure = interval(same.sum(2), statistic)
        assert unsure is not None
        assert unsure.low != unsure.high, name
        assert paired_interval(same, statistic) == (0.0, 0.0, 0.0)
    assert paired_interval(other, STATISTICS["accuracy"]) == pytest.approx((-6 / 16, -10 / 16, -2 / 16), abs=0.07)
    assert paired_interval(same, unanswered) == (0.0, 0.0, 0.0)
    assert float(unanswered(same.sum(2))) == 2 / 16


def stream(count: int) -> Iterator[Located]:
    for n in range(count):
        yield f"line {n}", AbilityCase("sst2", str(n), f"Is {n} odd?", ("no", "yes"), ("no", "yes")[n % 2])


def located(count: int) -> list[Located]:
    return list(stream(count))


def test_examples_come_first_and_are_not_asked() -> None:
    file = located(12)
    cases = draw(file, None, 3, 1, "x.jsonl")
    assert sorted(int(case.case_id) for case in cases) == list(range(3, 12))
    *examples, question = cases[0].prompt.split("\n\n")
    assert sorted(examples) == ["Is 0 odd? no", "Is 1 odd? yes", "Is 2 odd? no"]
    assert question == f"Is {cases[0].case_id} odd?"
    assert len({case.prompt.rpartition("\n\n")[0] for case in cases}) == 1
    orders = {tuple(draw(file, 1, 3, seed, "")[0].prompt.split("\n\n")[:3]) for seed in range(20)}
    assert len(orders) == 6, "the seed orders the examples"
    assert [case.prompt for case in draw(file, None, 0, 1, "")] != [case.prompt for case in cases]


def test_the_choice_of_questions_depends_on_seed_and_ids() -> None:
    file = located(40)
    ids = [case.case_id for case in draw(file, 10, 0, 1, "")]
    assert [case.case_id for case in draw(file[::-1], 10, 0, 1, "")] == ids
    assert [case.case_id for case in draw(file, 25, 0, 1, "")][:10] == ids, "a larger count adds to the end"
    assert [case.case_id for case in draw(file, None, 0, 1, "")][:10] == ids
    assert [case.case_id for case in draw(file, 10, 0, 2, "")] != ids


def test_memory_holds_only_the_chosen_questions() -> None:
    def peak(records: int, count: int | None) -> int:
        tracemalloc.start()
        draw(stream(records), count, 2, 0, "")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10, None)
    assert peak(20_000, 10) < 2 * peak(1000, 10)
    assert peak(20_000, None) > 20 * peak(1000, 10)  # control


def test_too_few_records_and_repeated_ids_are_reported() -> None:
    for count, shots, found in ((10, 0, 8), (None, 8, 8), (None, 9, 8), (6, 3, 8)):
        with pytest.raises(InvalidOption, match=rf"^x.jsonl holds {found} records, {shots} examples and"):
            draw(located(8), count, shots, 0, "x.jsonl")
    with pytest.raises(InvalidOption, match="x.jsonl holds 0 records"):
        draw([], None, 0, 0, "x.jsonl")
    twice = located(4)
    twice[3] = ("line 3", replace(twice[3][1], case_id="1"))
    with pytest.raises(InvalidCase, match=r"^line [13]: id '1' is already used at line [13]"):
        draw(twice, None, 0, 0, "x.jsonl")


@pytest.mark.parametrize(
    ("text", "options", "option"),
    [
        (" Yes", "two", "Yes"),
        ("yes, it does", "two", "Yes"),
        ("\n\n**No**", "two", "No"),
        (' "No."', "two", "No"),
        ("YES", "two", "Yes"),
        ("Not at all", "two", None),
        ("Yesterday", "two", None),
        ("I think yes", "two", None),
        ("", "two", None),
        (" B", "four", "B"),
        ("B. Paris", "four", "B"),
        ("(C)", "four", "C"),
        ("D\nE", "four", "D"),
        ("A good question", "four", None),
        ("b", "four", None),
        ("Because", "four", None),
    ],
)
def test_generated_texts_are_parsed(text: str, options: str, option: str | None) -> None:
    assert parse_option(text, OPTIONS[options]) == option
    assert parse_option(text, OPTIONS[options][::-1]) == option


def test_a_tie_has_no_likeliest_option() -> None:
    assert likeliest_option(("a", "b", "c"), (2.0, 1.0, 3.0)) == "b"
    assert likeliest_option(("a", "b", "c"), (1.0, 2.0, 1.0)) is None


PROMPTS = ("the capital of France is", "Anna was born in", "who lives in Lyon , says", "Karl speaks", "the sea is")
CASES = [
    AbilityCase("toy", str(n), prompt, ("Rome", "Old Paris", "green Great River"), "Rome")
    for n, prompt in enumerate(PROMPTS)
]


def test_likelihood_is_the_mean_nll_of_full_passes(tiny: EditableModel) -> None:
    answers = ask(tiny, CASES, "likelihood")
    for case, answer in zip(CASES, answers, strict=True):
        split = [continuation(tiny.tokenizer, case.prompt, option, "test") for option in case.options]
        direct = [literal.score(tiny.model, *ids)[0] for ids in split]
        assert answer.nlls == pytest.approx(direct, abs=1e-5)
        assert answer.predicted == case.options[int(np.argmin(direct))]
        assert (answer.case, answer.mode, answer.generated) == (case, "likelihood", None)
        sums = [nll * len(target) for nll, (_, target) in zip(direct, split, strict=True)]
        assert answer.nlls != pytest.approx(sums, abs=1e-5)  # control: the sum is another number


def test_generation_is_the_parsed_continuation(tiny: EditableModel) -> None:
    word = continue_text(tiny, PROMPTS[0], 3).split()[0]
    cases = [replace(CASES[0], options=("nothing", word)), CASES[1]]
    answers = ask(tiny, cases, "generation", tokens=3)
    assert [answer.generated for answer in answers] == [continue_text(tiny, case.prompt, 3) for case in cases]
    assert answers[0].predicted == word
    assert answers[0].nlls is None
    (other,) = ask(tiny, [replace(CASES[0], options=("nothing", "never"))], "generation")
    assert other.predicted is None


@pytest.mark.parametrize("way", ["likelihood", "generation"])
def test_passes_and_order_do_not_change_answers(llama: EditableModel, way: str) -> None:
    done: list[int] = []
    together = ask(llama, CASES, way, progress=done.append)
    assert sum(done) == len(CASES)
    one_by_one = ask(llama, CASES, way, tokens_per_pass=1, progress=done.append)
    assert len(done) > len(CASES)
    turned = ask(llama, CASES[::-1], way)[::-1]
    for answers in (one_by_one, turned):
        assert [answer.predicted for answer in answers] == [answer.predicted for answer in together]
        assert [answer.generated for answer in answers] == [answer.generated for answer in together]
        for one, other in zip(answers, together, strict=True):
            assert (one.nlls or ()) == pytest.approx(other.nlls or (), abs=1e-6)
    assert ask(llama, [], way) == []


def test_options_that_the_tokenizer_cannot_tell_apart_are_no_answer(llama: EditableModel) -> None:
    (answer,) = ask(llama, [replace(CASES[0], options=("unheard", "unseen"), label="unseen")], "likelihood")
    assert answer.predicted is None


def test_a_question_longer_than_the_model_is_refused(llama: EditableModel) -> None:
    long = replace(CASES[0], prompt="the " * llama.model.config.max_position_embeddings + "sea")
    with pytest.raises(InvalidOption, match=r"question '0' of toy .* tokens, the model \d+: give fewer examples"):
        ask(llama, [CASES[1], long], "likelihood")


@pytest.mark.parametrize("ways", [["guess"], [], ["likelihood", "likelihood"]])
def test_modes_are_checked(ways: list[str]) -> None:
    check_modes(["generation", "likelihood"])
    with pytest.raises(InvalidOption, match="choose one or both of likelihood, generation"):
        check_modes(ways)
