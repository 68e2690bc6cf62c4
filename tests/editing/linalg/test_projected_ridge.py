"""The closed-form update equals the paper's formula in all its forms, and preserves outputs at preserved keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import literal
from torch import Tensor

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.projected_ridge import LowRank, ProjectedRidge
from editflow.editing.linalg.second_moment import SecondMoment
from editflow.editing.linalg.spectrum import decompose
from editflow.editing.linalg.threshold import Threshold

D, OUT = 40, 12
Keys = Callable[..., Tensor]


def moment(keys: Tensor) -> Tensor:
    m = SecondMoment.zeros(keys.shape[0])
    m.add(keys.T)
    return m.mean()


def null_space(keys: Tensor, rank: float) -> NullSpace:
    return NullSpace.from_spectrum(decompose(moment(keys)), Threshold("rank", rank))


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("rank", [0.2, 0.5, 0.9], ids=["basis kept", "half", "complement kept"])
@pytest.mark.parametrize("ridge", [0.1, 1.0, 10.0])
def test_update_equals_the_literal_formula_over_several_batches(random_keys: Keys, rank: float, ridge: float) -> None:
    space = null_space(random_keys(D, 500), rank)
    P, solver = space.matrix(), ProjectedRidge(space, ridge)
    earlier = torch.zeros(D, 0, dtype=torch.float64)
    # The sizes add up to more than any rank here, so the solver changes from the N × N to the r × r system midway.
    for batch, n in enumerate((3, 5, 1, 20, 20)):
        K1, R = torch.randn(D, n, dtype=torch.float64), torch.randn(OUT, n, dtype=torch.float64)
        change = solver.update(R, K1)
        wanted = literal.alphaedit_delta(R, K1, earlier if earlier.shape[1] else None, P, ridge)
        assert relative(change.dense(), wanted) < 1e-9, f"batch {batch}"
        assert change.norm() == pytest.approx(float(wanted.norm()), rel=1e-6)
        earlier = torch.cat([earlier, K1], dim=1)
    wrong = literal.alphaedit_delta(R, K1, None, P, ridge)  # forgets the earlier keys
    assert relative(change.dense(), wrong) > 1e-3


def test_outputs_at_preserved_keys_change_only_without_the_projector(random_keys: Keys) -> None:
    preserved = random_keys(D, 500)
    K1, R = torch.randn(D, 4, dtype=torch.float64), torch.randn(OUT, 4, dtype=torch.float64)
    projected = ProjectedRidge(null_space(preserved, 0.4), 1e-3).update(R, K1)
    free = ProjectedRidge(NullSpace.whole(D), 1e-3).update(R, K1)
    moved = [float((c.dense() @ preserved).norm() / c.norm() / preserved.norm()) for c in (projected, free)]
    assert moved[0] < 1e-3 < 100 * moved[0] < moved[1]
    assert relative(projected.dense() @ K1, R) < 0.05  # and the new facts are still written


@given(st.permutations(range(6)))
def test_order_of_facts_in_a_batch_does_not_matter(order: list[int]) -> None:
    torch.manual_seed(5)
    K1, R = torch.randn(D, 6, dtype=torch.float64), torch.randn(OUT, 6, dtype=torch.float64)
    space = NullSpace.from_spectrum(decompose(moment(torch.randn(D, 90, dtype=torch.float64))), Threshold("rank", 0.5))
    straight = ProjectedRidge(space, 1.0).update(R, K1).dense()
    assert relative(ProjectedRidge(space, 1.0).update(R[:, order], K1[:, order]).dense(), straight) < 1e-6
    if list(order) != list(range(6)):  # control: residuals that lost their keys do matter
        assert relative(ProjectedRidge(space, 1.0).update(R[:, order], K1).dense(), straight) > 1e-3


def test_low_rank_norm_and_refusals() -> None:
    change = LowRank(torch.randn(OUT, 3, dtype=torch.float64), torch.randn(D, 3, dtype=torch.float64))
    assert change.norm() == pytest.approx(float(change.dense().norm()))
    with pytest.raises(InvalidOption, match="above 0"):
        ProjectedRidge(NullSpace.whole(4), 0.0)
    with pytest.raises(NonFinite, match="keys of the facts"):
        ProjectedRidge(NullSpace.whole(4), 1.0).extend(torch.full((4, 1), torch.nan))
