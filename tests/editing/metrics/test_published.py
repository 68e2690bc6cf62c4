"""Accuracy as published: equal to ours without a BOS token, and wrong in two ways with one."""

from __future__ import annotations

import pytest
import torch
from oracle.tiny import FAMILIES
from support.small_tokenizers import built

from editflow.editing.metrics.measure import measure
from editflow.editing.metrics.published import next_tokens, published_accuracy, steps
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import as_editable
from editflow.editing.requests.record import EditRequest


def model(*, bos: bool) -> EditableModel:
    """A random model with a byte-level tokenizer of its own."""
    torch.manual_seed(11)
    tiny = FAMILIES["llama"]().model
    tokenizer = built("byte level", bos=bos)
    tiny.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return as_editable(tiny, tokenizer)


def test_without_bos_both_counts_are_equal(requests: list[EditRequest]) -> None:
    plain = model(bos=False)
    rows = measure(plain, requests, ["efficacy", "paraphrase", "neighbourhood"], published=True)
    assert [row.published for row in rows] == pytest.approx([row.hits / row.tokens for row in rows])
    assert measure(plain, requests, ["efficacy"])[0].published is None  # unless asked for


def test_with_bos_an_answer_that_must_stay_includes_the_bos_token() -> None:
    begun = built("byte level", bos=True)
    texts = steps(begun, "the capital of France is", "Old Rome", stays=True)
    assert [token for _, token in texts] == begun(" Old Rome")["input_ids"]
    assert texts[0] == ("the capital of France is", begun.bos_token_id)


def test_with_bos_an_edited_answer_gets_a_second_space() -> None:
    begun, plain = (built("byte level", bos=bos) for bos in (True, False))
    with_one, without = (steps(t, "Anna is", "Old Rome", stays=False) for t in (begun, plain))
    assert [text for text, _ in without] == ["Anna is", "Anna is Old"]
    assert [text for text, _ in with_one] == ["Anna is", "Anna is  Old"]
    assert [token for _, token in with_one] == [token for _, token in without]


def test_next_tokens_do_not_depend_on_the_batch() -> None:
    begun = model(bos=True)
    texts = ["the capital of", "Anna speaks", "who lives in Lyon , says", "Anna speaks"]
    together = next_tokens(begun, texts)
    assert together == next_tokens(begun, texts, texts_per_pass=1)
    assert together == [next_tokens(begun, [text])[0] for text in texts]


def test_a_model_that_generates_the_answer_scores_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = model(bos=False)
    asked = [("Anna is", "Old Rome", False), ("Karl is", "Paris", True)]
    found = [steps(plain.tokenizer, prompt, answer, stays=stays) for prompt, answer, stays in asked]
    right = [token for each in found for _, token in each]
    monkeypatch.setattr("editflow.editing.metrics.published.next_tokens", lambda _model, _texts: right)
    assert published_accuracy(plain, asked) == [1, 1]
    monkeypatch.setattr("editflow.editing.metrics.published.next_tokens", lambda _model, texts: [-1] * len(texts))
    assert published_accuracy(plain, asked) == [0, 0]
