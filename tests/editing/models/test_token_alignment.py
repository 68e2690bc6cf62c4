"""Whether or not a tokenizer puts a token before every text, an answer's tokens are the same and the answer's alone."""

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
def test_both_give_the_same_tokens_to_score(kind: str, prompt: str, answer: str) -> None:
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
def test_the_published_count_does_not(kind: str) -> None:
    """The control: there, what must stay is asked for one token more, which no text holds."""
    plain, begun = pair(kind)
    alone, more = (steps(t, "the capital of France is", "Old Rome", stays=True) for t in (plain, begun))
    assert len(more) == len(alone) + 1
    assert more[0] == ("the capital of France is", begun.bos_token_id)
