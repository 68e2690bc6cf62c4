"""Post-processing of changes: cases by hand, and the properties of each filter."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import methods
from torch import Tensor

from editflow.editing.editors.norm_anchor import rescale_to_norms
from editflow.editing.editors.target_values import TargetValue
from editflow.editing.linalg.change_filters import (
    dominant_directions,
    largest_relative,
    limited_singular_values,
    without_directions,
)
from editflow.editing.linalg.projected_ridge import LowRank


def numbers(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_rect_by_hand() -> None:
    """|Δ / W| is 2, 0.5, 0.1 and 1, so the smallest change is kept, since its weight is the smallest."""
    change, weight = numbers([0.2, 1.0], [-1.0, 3.0]), numbers([0.1, 2.0], [10.0, -3.0])
    assert torch.equal(largest_relative(change, weight, 0.25), numbers([0.2, 0.0], [0.0, 0.0]))
    assert torch.equal(largest_relative(change, weight, 0.5), numbers([0.2, 0.0], [0.0, 3.0]))
    assert torch.equal(largest_relative(change, weight, 1.0), change)
    assert not torch.equal(largest_relative(change, torch.ones(2, 2), 0.25), numbers([0.2, 0.0], [0.0, 0.0]))


def test_rect_with_zero_weights_and_zero_changes() -> None:
    change, weight = numbers([0.0, 1.0], [1e-9, 0.0]), numbers([0.0, 5.0], [0.0, 5.0])
    assert torch.equal(largest_relative(change, weight, 0.25), numbers([0.0, 0.0], [1e-9, 0.0]))
    assert torch.equal(largest_relative(torch.zeros(2, 2), weight, 0.5), torch.zeros(2, 2))


def test_prune_by_hand() -> None:
    """The weight's largest singular value is 2: 8 becomes 2 + log2(8 / 2) = 4, 1 stays; on any base the order stays."""
    total = numbers([0.0, 8.0], [1.0, 0.0])
    assert torch.allclose(limited_singular_values(total, 2.0, 2.0), numbers([0.0, 4.0], [1.0, 0.0]), atol=1e-12)
    assert torch.allclose(limited_singular_values(total, 2.0, 1e12), numbers([0.0, 2.0], [1.0, 0.0]), atol=0.1)
    assert limited_singular_values(total, 8.0, 2.0) is total


@pytest.mark.parametrize("base", [1.2, math.e, 1e6])
def test_prune_equals_the_literal_weight_where_it_clips(base: float) -> None:
    W0, W, delta = random(6, 9), random(6, 9) + 0.1, 5 * random(6, 9).flip(0)
    largest = float(torch.linalg.matrix_norm(W0, ord=2))
    total = W + delta - W0
    assert float(torch.linalg.matrix_norm(total, ord=2)) > 1.5 * largest
    assert torch.allclose(
        W0 + limited_singular_values(total, largest, base), methods.prune_weight(W, delta, W0, base), atol=1e-10
    )
    assert not torch.allclose(
        W + limited_singular_values(delta, largest, base), methods.prune_weight(W, delta, W0, base)
    )


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95])
def test_a_filtered_change_is_orthogonal_to_dominant_directions(share: float) -> None:
    W0, change = random(6, 9), LowRank(random(6, 2), random(9, 2))
    kept = dominant_directions(W0, share)
    S = torch.linalg.svdvals(W0).square()
    k = kept.left.shape[1]
    assert float(S[:k].sum()) >= share * float(S.sum()) > float(S[: k - 1].sum())
    filtered = without_directions(change, kept).dense()
    assert float((kept.left.T @ filtered).abs().max()) < 1e-12 < float((kept.left.T @ change.dense()).abs().max())
    assert float((filtered @ kept.right).abs().max()) < 1e-12 < float((change.dense() @ kept.right).abs().max())
    assert torch.allclose(filtered, methods.filtered_delta(change.dense(), W0, share), atol=1e-12)


def test_rescaled_values_have_the_reference_norm_and_their_own_direction() -> None:
    values = [TargetValue(str(n), random(5) * (n + 1), 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1, "loss") for n in range(3)]
    norms = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    for value, norm, given in zip(rescale_to_norms(values, norms), norms, values, strict=True):
        assert float(value.z.norm()) == pytest.approx(float(norm))
        assert float(torch.cosine_similarity(value.z, given.z, dim=0)) == pytest.approx(1.0)
        assert float(given.z.norm()) != pytest.approx(float(norm))
