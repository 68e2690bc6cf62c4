"""Second moments equal the literal sum, for any order, partition and padding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import literal

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.linalg.second_moment import SecondMoment
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.moments import second_moments
from editflow.editing.models.windows import windows

WINDOWS = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12], [], [13], [14, 15, 16, 17, 18, 19, 20]]


@pytest.mark.parametrize("tokens_per_pass", [1, 8, 1000])
def test_one_pass_equals_one_literal_pass_per_layer(tiny: EditableModel, tokens_per_pass: int) -> None:
    moments = second_moments(tiny, [1, 2], WINDOWS, tokens_per_pass)
    for layer, found in moments.items():
        total, count = literal.second_moment(tiny.model, tiny.down_projection(layer), [w for w in WINDOWS if w])
        assert found.count == count == 18
        assert torch.allclose(found.total, total, atol=1e-9)
    assert not torch.allclose(moments[1].total, moments[2].total)  # control: layers differ


def test_progress_counts_real_tokens(llama: EditableModel) -> None:
    seen: list[int] = []
    second_moments(llama, [0], WINDOWS, 8, seen.append)
    assert sum(seen) == 18


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.randoms())
def test_merging_in_any_grouping_and_order_gives_the_same_moment(sizes: list[int], random: object) -> None:
    generator = torch.Generator().manual_seed(3)
    parts = [torch.randn(n, 7, generator=generator, dtype=torch.float64) for n in sizes]
    whole = SecondMoment.zeros(7)
    whole.add(torch.cat(parts))
    random.shuffle(parts)  # type: ignore[attr-defined]
    merged = SecondMoment.zeros(7)
    for part in parts:
        one = SecondMoment.zeros(7)
        one.add(part)
        merged = one.merge(merged)
    assert merged.count == whole.count == sum(sizes)
    assert torch.allclose(merged.mean(), whole.mean(), rtol=1e-6)
    assert torch.equal(merged.mean(), merged.mean().T)


def test_refusals() -> None:
    moment = SecondMoment.zeros(3)
    with pytest.raises(InvalidOption, match="no keys"):
        moment.mean()
    with pytest.raises(NonFinite):
        moment.add(torch.tensor([[1.0, float("nan"), 0.0]]))
    assert moment.count == 0
    assert not moment.total.any()  # a refused batch leaves nothing behind
    with pytest.raises(InvalidOption, match="widths 3 and 4"):
        moment.merge(SecondMoment.zeros(4))


def test_windows_are_cut_to_length_and_limit(llama: EditableModel) -> None:
    texts = ["the capital of France is Paris", "Anna speaks", "Karl lives in Lyon"]
    cut = list(windows(llama.tokenizer, texts, length=4, limit=9))
    assert [(n, len(ids)) for n, ids in cut] == [(0, 4), (0, 2), (1, 2), (2, 1)]
    assert sum(len(ids) for _, ids in windows(llama.tokenizer, texts, 4, 100)) == 12
