"""With or without a BOS token, an answer has the same tokens, without tokens of the prompt."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_tokenizers import KINDS, built
from support.tiny_words import WORDS
from transformers import PreTrainedTokenizerFast

from editflow.editing.metrics.published import steps
from editflow.editing.models.tokens import continuation

PHRASES = st.lists(st.sampled_from([w for w in WORDS if w.isalnum()]), min_size=1, max_size=4).map(" ".join)
made = cache(built)


def pair(kind: str) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast]:
    return made(kind, bos=False), made(kind, bos=True)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(prompt=PHRASES, answer=PHRASES)
def test_tokenizers_with_and_without_bos_give_the_same_answer_tokens(kind: str, prompt: str, answer: str) -> None:
    plain, begun = pair(kind)
    asked, wanted = continuation(plain, prompt, answer, "here")
    first, *rest = begun(prompt)["input_ids"]
    assert first == begun.bos_token_id
    assert continuation(begun, prompt, answer, "here") == ([first, *asked], wanted)
    assert rest == asked
    assert begun.bos_token_id not in wanted
    assert plain.decode(asked + wanted).strip() == f"{prompt} {answer}"
    assert plain.decode(wanted).strip() == answer


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_count_differs_with_bos(kind: str) -> None:
    """The control: there, an answer that must stay has one more token, which no text contains."""
    plain, begun = pair(kind)
    alone, more = (steps(t, "the capital of France is", "Old Rome", stays=True) for t in (plain, begun))
    assert len(more) == len(alone) + 1
    assert more[0] == ("the capital of France is", begun.bos_token_id)
