"""The ends of every metric's range, reached by real models: one that knows all, one that knows nothing, one all wrong.

They depend only on the last word: `follows` gives each word's successor. Their embeddings are one-hot, their only
layer adds nothing, and the head has a large entry where a word follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pytest
import torch
from support.tiny_words import WORDS, word_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from editflow.editing.metrics.ability.asking import ask
from editflow.editing.metrics.ability.confusion import STATISTICS, confusion
from editflow.editing.metrics.ability.declaration import AbilityCase
from editflow.editing.metrics.ability.modes import MODES
from editflow.editing.metrics.measure import measure
from editflow.editing.metrics.perplexity import perplexity, window_nll
from editflow.editing.metrics.registry import METRICS
from editflow.editing.metrics.score_columns import HARMONIC, available, cases, harmonic
from editflow.editing.metrics.texts.essence import essences
from editflow.editing.metrics.texts.free import matches
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.generation import continue_texts
from editflow.editing.models.loading import as_editable
from editflow.editing.models.tokens import encode
from editflow.editing.requests.record import EditRequest, Question

REQUEST = EditRequest(
    "a", "{} was born in", "Anna", "Old Madrid", "Great Paris", "", ("Anna lives",), ("Karl speaks", "Omar says"),
    (), (Question("who sees", ("blue sea", "green")),), (Question("then it is", ("three four", "five")),),
)  # fmt: skip
KNOWS = {
    "in": "Old", "lives": "Old", "Old": "Madrid", "Madrid": ".", "speaks": "Great", "says": "Great", "Great": "Paris",
    "Paris": ".", "sees": "blue", "blue": "sea", "sea": ".", "is": "three", "three": "four", "four": ".",
}  # fmt: skip
WRONG = KNOWS | {
    "in": "Great", "lives": "Great", "speaks": "Old", "says": "Old", "Old": "seven", "Great": "seven",
    "sees": "red", "blue": "red", "is": "two", "three": "two",
}  # fmt: skip
VOCABULARY = 2 + len(dict.fromkeys(WORDS))
SURE = 1e3
"""The logit of the next word, so large that the others have no probability."""


def knowing(follows: Mapping[str, str]) -> EditableModel:
    """A model that predicts each word's successor, and any word after words without one."""
    words = word_tokenizer().get_vocab()
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=VOCABULARY + 1, intermediate_size=2, num_hidden_layers=1,
        num_attention_heads=1, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(VOCABULARY, VOCABULARY + 1))
        for word, following in follows.items():
            model.lm_head.weight[words.get(following, 0), words.get(word, 0)] = SURE
    return as_editable(model, word_tokenizer())


def means_of(model: EditableModel, before: EditableModel | None = None) -> dict[str, dict[str, float]]:
    """{metric: {score: mean}}; `before` has the answers of the unedited model."""
    rows = [vars(row) | {"request": row.request_id} for row in measure(model, [REQUEST], list(METRICS))]
    first = measure(before or model, [REQUEST], list(METRICS))
    rows = [
        row | {"said_before": list(one.said), "said": list(row["said"])} for row, one in zip(rows, first, strict=True)
    ]
    mine = {name: [row for row in rows if row["metric"] == name] for name in METRICS}
    return {
        name: {figure: fmean(cases(some, figure).values()) for figure in available(some)} for name, some in mine.items()
    }


COMPARING = tuple(name for name, metric in METRICS.items() if any(prompt.other for prompt in metric.asks(REQUEST)))
"""The metrics that compare two answers."""


def uniform(value: float, compared: Sequence[str] = COMPARING) -> dict[str, Any]:
    """The expected scores if all have one value; of metrics that compare two answers if `compared`."""
    scores_ = dict.fromkeys(("accuracy", "token accuracy"), value)
    both = {"success": value, "magnitude": 2 * value - 1}
    found = {name: scores_ | (both if name in compared else {}) for name in METRICS}
    return {name: found[name] | ({} if METRICS[name].wants_new else {"unchanged": 1.0}) for name in found}


def scores(found: Mapping[str, Mapping[str, float]]) -> float:
    return harmonic([found[name][figure] for name, figure in HARMONIC["harmonic"].items()])


def test_a_model_that_knows_all() -> None:
    model = knowing(KNOWS)
    found = means_of(model)
    assert found == {name: pytest.approx(wanted) for name, wanted in uniform(1).items()}
    assert scores(found) == 1
    texts = continue_texts(model, [REQUEST.filled, *REQUEST.paraphrase_prompts], 4)
    assert [matches(text, [REQUEST.target_new]) for text in texts] == [(True, True)] * 2
    text = "in Old Madrid ."
    assert perplexity(window_nll(model, [encode(model.tokenizer, text)[0]])) == pytest.approx(1)
    assert [one.value for one in essences(model, [text, "Old Madrid"])] == pytest.approx([1, 1])


def test_a_model_that_is_all_wrong() -> None:
    model = knowing(WRONG)
    found = means_of(model)
    wanted = uniform(0)
    for name in COMPARING:
        wanted[name]["magnitude"] = 0  # both answers have probability zero and cannot be distinguished
    assert found == {name: pytest.approx(one) for name, one in wanted.items()}
    assert scores(found) == 0
    texts = continue_texts(model, [REQUEST.filled, *REQUEST.paraphrase_prompts], 4)
    assert [matches(text, [REQUEST.target_new]) for text in texts] == [(False, False)] * 2
    changed = means_of(model, before=knowing(KNOWS))
    assert (changed["locality"]["unchanged"], changed["neighbourhood"]["unchanged"]) == (0, 0)
    assert changed["locality"]["accuracy"] == found["locality"]["accuracy"]  # which depends on one state only


def test_a_model_that_knows_nothing() -> None:
    """All words are equally likely, so no answer is more likely than another, and a right one is chance."""
    model = knowing({})
    found = means_of(model)
    for name, of in found.items():
        assert {figure: value for figure, value in of.items() if figure != "unchanged"} == pytest.approx(
            dict.fromkeys(set(of) - {"unchanged"}, 0)
        ), name
    assert scores(found) == 0
    windows = [encode(model.tokenizer, text)[0] for text in ("in Old Madrid .", "the sea", "one two three")]
    assert perplexity(window_nll(model, windows)) == pytest.approx(VOCABULARY)
    assert perplexity(window_nll(model, windows[::-1])) == pytest.approx(VOCABULARY)
    assert [one.value for one in essences(model, ["in Old Madrid .", "a", ""])] == [
        pytest.approx(VOCABULARY),
        None,
        None,
    ]
    (one,) = essences(model, ["in Old Madrid ."])
    assert one.published == pytest.approx(VOCABULARY**0.75)  # four tokens, of which three are asked for


def test_a_half_known_answer_by_hand() -> None:
    """The model predicts `Old` but not `Madrid`: half of the tokens, no whole answer."""
    found = means_of(knowing(KNOWS | {"Old": "seven"}))["efficacy"]
    assert (found["token accuracy"], found["accuracy"]) == (0.5, 0)


@pytest.mark.parametrize("way", MODES)
def test_general_ability(way: str) -> None:
    """The last word of a question determines the right option."""
    right = {"one": "red", "two": "blue"}
    ends = ["one", "two", "two", "one", "two"]
    questions = [
        AbilityCase("toy", str(n), f"what {WORDS[n]} {end}", ("red", "blue"), right[end]) for n, end in enumerate(ends)
    ]
    for follows, accuracy, mcc, unanswered in (
        (right, 1, 1, 0),
        ({"one": "blue", "two": "red"}, 0, -1, 0),
        ({"one": "red", "two": "red"}, 0.4, 0, 0),
        ({}, 0, 0, 5),  # two options that are equally likely are no answer, and neither is another word
    ):
        answers = ask(knowing(follows), questions, way)
        table = confusion(("red", "blue"), [(one.case.label, one.predicted) for one in answers])
        assert float(STATISTICS["accuracy"](table)) == pytest.approx(accuracy)
        assert float(STATISTICS["mcc"](table)) == mcc
        assert table[:, -1].sum() == unanswered
