"""Generated texts depend only on model, prompt and seed, and sampling follows the model's probabilities."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from oracle import literal

from editflow.editing.errors import NonFinite
from editflow.editing.metrics.measure import measure
from editflow.editing.metrics.texts.essence import Essence, essences
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.generation import (
    Sampling,
    TopKSampler,
    argmax_tokens,
    continue_texts,
    noise_generator,
    total_budget,
    write_texts,
)
from editflow.editing.models.tokens import encode
from editflow.editing.requests.record import EditRequest

pytestmark = pytest.mark.slow

PROMPTS = [
    "the capital of",
    "Anna speaks",
    "who lives in Lyon , says",
    "Anna",
    "the sea is blue because I",
    "Omar plays",
]
DRAWN = Sampling(10, top_k=5, seed=3)


def with_words(model: EditableModel) -> EditableModel:
    """The model with a word for every token, so that every token is visible in texts."""
    known = len(model.tokenizer)
    model.tokenizer.add_tokens([f"w{n}" for n in range(known, model.model.config.vocab_size)])
    return model


@pytest.fixture
def tiny(tiny: EditableModel) -> EditableModel:
    return with_words(tiny)


@pytest.fixture
def llama(llama: EditableModel) -> EditableModel:
    return with_words(llama)


@pytest.mark.parametrize(
    "tiny",
    ["llama", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("gpt2", "gptj", "mistral"))],
    indirect=True,
)
@pytest.mark.parametrize("writing", [Sampling(8), DRAWN, replace(DRAWN, whole=True)], ids=["greedy", "drawn", "whole"])
def test_neighbours_order_and_padding_change_nothing(tiny: EditableModel, writing: Sampling) -> None:
    alone = [write_texts(tiny, [prompt], writing)[0] for prompt in PROMPTS]
    assert len(set(alone)) > 3
    for prompts_per_pass in (1, 2, 4, 32):
        assert write_texts(tiny, PROMPTS, writing, prompts_per_pass) == alone
        assert write_texts(tiny, PROMPTS[::-1], writing, prompts_per_pass) == alone[::-1]
    assert write_texts(tiny, [*PROMPTS, PROMPTS[0]], writing) == [*alone, alone[0]]
    assert write_texts(tiny, [], writing) == []


def test_the_padding_side_of_the_tokenizer_changes_nothing(llama: EditableModel) -> None:
    wanted = write_texts(llama, PROMPTS, DRAWN)
    llama.tokenizer.padding_side = "left" if llama.tokenizer.padding_side == "right" else "right"
    assert write_texts(llama, PROMPTS, DRAWN) == wanted


def test_the_same_seed_gives_the_same_texts(llama: EditableModel) -> None:
    wanted = write_texts(llama, PROMPTS, DRAWN)
    assert write_texts(llama, PROMPTS, DRAWN) == wanted
    assert write_texts(llama, PROMPTS, replace(DRAWN, seed=4)) != wanted  # the control
    greedy = continue_texts(llama, PROMPTS, 10)
    assert write_texts(llama, PROMPTS, Sampling(10, top_k=1, seed=9)) == greedy != wanted


def test_a_longer_text_begins_with_the_shorter_one(llama: EditableModel) -> None:
    short, long = (write_texts(llama, PROMPTS, replace(DRAWN, tokens=n)) for n in (4, 9))
    assert all(b.startswith(a) and b != a for a, b in zip(short, long, strict=True))


def test_budgets_include_the_prompt_on_request(llama: EditableModel) -> None:
    whole = Sampling(6, whole=True)
    lengths = [len(encode(llama.tokenizer, prompt)[0]) for prompt in PROMPTS]
    assert [whole.budget([0] * n) for n in lengths] == [max(0, 6 - n) for n in lengths]
    assert [Sampling(6).budget([0] * n) for n in lengths] == [6] * len(lengths)
    texts = write_texts(llama, PROMPTS, whole)
    assert [text == "" for text in texts] == [n >= 6 for n in lengths]
    assert texts == [
        write_texts(llama, [p], Sampling(6 - n))[0] if n < 6 else "" for p, n in zip(PROMPTS, lengths, strict=True)
    ]
    assert write_texts(llama, ["", "Anna"], Sampling(3))[0] == ""  # no prompt, nothing to go on from
    for writing in (whole, DRAWN):
        done: list[int] = []
        write_texts(llama, [*PROMPTS, PROMPTS[0]], writing, 2, done.append)
        assert sum(done) == total_budget(llama, PROMPTS, writing)


def test_a_text_ends_at_the_end_of_text(llama: EditableModel) -> None:
    first = write_texts(llama, ["Anna speaks"], DRAWN)[0].split()
    llama.tokenizer.eos_token = first[2]
    done: list[int] = []
    assert write_texts(llama, ["Anna speaks"], DRAWN, progress=done.append)[0].split() == first[:2]
    assert sum(done) == 10


def test_sampling_follows_the_probabilities_of_the_likeliest() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0, -1.0, 1.5, -9.0]])
    draw, draws = TopKSampler(4, [noise_generator(0, "a")]), 4000
    counts = torch.bincount(torch.tensor([draw(logits)[0] for _ in range(draws)]), minlength=6) / draws
    shares = torch.where(logits[0] >= 0, logits[0], -torch.inf).softmax(-1)
    assert counts[3] == counts[5] == 0
    assert torch.allclose(counts, shares, atol=4 * math.sqrt(0.25 / draws))
    assert not torch.allclose(counts, logits[0].softmax(-1).flip(0), atol=0.05)  # the control
    assert TopKSampler(99, [noise_generator(0, "a")])(logits)[0] in range(6)


def test_similar_models_sample_similar_texts() -> None:
    """A small change of the logits changes few words, even though many ranks change."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(300, 1, 50, generator=generator)
    near = logits + 0.01 * torch.randn(300, 1, 50, generator=generator)
    one, same, other = (TopKSampler(5, [noise_generator(seed, "a")]) for seed in (0, 0, 1))
    drawn = [[draw(row)[0] for row in rows] for draw, rows in ((one, logits), (same, near), (other, near))]
    alike = [sum(a == b for a, b in zip(drawn[0], texts, strict=True)) for texts in drawn[1:]]
    assert alike[0] > 290
    assert alike[1] < 200  # the control: other noise


def test_nan_weights_are_reported(llama: EditableModel) -> None:
    llama.weight(3)[:] = torch.nan
    for writing in (Sampling(3), DRAWN):
        with pytest.raises(NonFinite, match="NaN"):
            write_texts(llama, PROMPTS, writing)


def test_ties_are_broken_deterministically() -> None:
    flat = torch.zeros(1, 8)
    assert argmax_tokens(flat) == [0]
    assert {TopKSampler(2, [noise_generator(n, "a")])(flat)[0] for n in range(100)} == set(
        range(8)
    )  # all are among the likeliest


def test_free_generation_begins_with_targets_that_teacher_forcing_confirms(
    tiny: EditableModel, requests: list[EditRequest]
) -> None:
    """Every token of a target is the argmax, step by step, exactly where the greedy text begins with the target."""
    continuations = [text.split() for text in continue_texts(tiny, [request.filled for request in requests], 3)]
    right = [replace(r, target_new=" ".join(words[:2])) for r, words in zip(requests, continuations, strict=True)]
    wrong = [replace(r, target_new=f"{words[0]} Bari") for r, words in zip(requests, continuations, strict=True)]
    for asked in (right, wrong, requests):
        rows = measure(tiny, asked, ["efficacy"])
        texts = continue_texts(tiny, [request.filled for request in asked], 3)
        begins = [f"{text} ".startswith(f"{r.target_new} ") for r, text in zip(asked, texts, strict=True)]
        assert [bool(row.accuracy) for row in rows] == begins
    assert all(row.accuracy for row in measure(tiny, right, ["efficacy"]))


def test_essence_equals_full_passes(tiny: EditableModel) -> None:
    texts = ["the capital of France is Paris", "Anna", "Omar plays in the sea", ""]
    found = essences(tiny, texts)
    for text, essence in zip(texts, found, strict=True):
        ids = encode(tiny.tokenizer, text)[0]
        if len(ids) < 2:
            assert essence == Essence(0, 0.0)
            assert essence.value is essence.published is None
            continue
        nll = sum(literal.score(tiny.model, ids[:n], [ids[n]])[0] for n in range(1, len(ids)))
        assert essence.value == pytest.approx(math.exp(nll / (len(ids) - 1)), rel=1e-5)
        assert essence.published == pytest.approx(math.exp(nll / len(ids)), rel=1e-5)
        assert essence.value > essence.published > 1
    assert essences(tiny, texts[::-1])[::-1] == found


def test_essence_uses_a_hundred_tokens(llama: EditableModel) -> None:
    long = "the sea is blue " * 30
    cut = " ".join(long.split()[:100])
    (one, two), (other,) = essences(llama, [long, cut]), essences(llama, ["Rome " + long])
    assert one.predicted == 99
    assert one.nll == pytest.approx(two.nll)
    assert other.nll != pytest.approx(one.nll, rel=1e-3)
