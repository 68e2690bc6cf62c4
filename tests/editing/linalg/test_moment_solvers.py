"""The closed forms of MEMIT and ROME equal the published ones and have their properties."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from oracle import methods
from torch import Tensor

from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.moment_solvers import MomentRidge, RankOne, cholesky_factor
from editflow.editing.linalg.second_moment import SecondMoment

D, OUT = 30, 8


def mean_of(keys: Tensor) -> Tensor:
    moment = SecondMoment.zeros(len(keys))
    moment.add(keys.T)
    return moment.mean()


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("previous", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_memit_equals_the_literal_formula_over_several_batches(
    random_keys: Callable[..., Tensor], previous: bool, ridge: float
) -> None:
    """Also with more keys than the width."""
    C0 = mean_of(random_keys(D, 400) + 1e-2 * torch.randn(D, 400, dtype=torch.float64))
    solver = MomentRidge(C0, 7.0, ridge, previous=previous)
    earlier = torch.zeros(D, 0, dtype=torch.float64)
    for n in (3, 1, 12, 12, 12):
        K1, R = torch.randn(D, n, dtype=torch.float64), torch.randn(OUT, n, dtype=torch.float64)
        change = solver.update(R, K1).dense()
        held, forgotten = (methods.memit_delta(R, K1, kept, C0, 7.0, ridge) for kept in (earlier, None))
        assert relative(change, held if previous else forgotten) < 1e-8
        if earlier.shape[1]:  # control: the other one is another change
            assert relative(change, forgotten if previous else held) > 1e-3
        earlier = torch.cat([earlier, K1], dim=1)


def test_rome_writes_its_fact_exactly_with_the_least_effect_on_corpus_keys() -> None:
    text = torch.randn(D, D, dtype=torch.float64) @ torch.randn(D, 500, dtype=torch.float64)
    C0 = mean_of(text)
    k, r = torch.randn(D, 1, dtype=torch.float64), torch.randn(OUT, 1, dtype=torch.float64)
    change = RankOne(C0, 0.0).update(r, k).dense()
    assert relative(change @ k, r) < 1e-9
    assert relative(change, methods.rome_delta(r[:, 0], k[:, 0], C0, 0.0)) < 1e-9
    moved = float((change @ text).norm())
    for _ in range(20):  # any other change that writes the fact moves the text more
        aside = torch.randn(OUT, D, dtype=torch.float64)
        other = change + 0.1 * (aside - (aside @ k) @ k.T / (k.T @ k))
        assert relative(other @ k, r) < 1e-9
        assert float((other @ text).norm()) > moved
    assert relative(RankOne(C0, 1.0).update(r, k).dense(), change) > 1e-3  # control: λ is another change


def test_refusals() -> None:
    flat = torch.zeros(D, D, dtype=torch.float64)
    flat[0, 0] = 1.0
    with pytest.raises(InvalidOption, match="singular.*corpus.tokens.*edit.ridge"):
        MomentRidge(flat, 1.0, 0.0, previous=False)
    MomentRidge(flat, 1.0, 1e-3, previous=False)  # control: the remedy works
    with pytest.raises(InvalidOption, match="one fact at a time, not 2"):
        RankOne(flat, 1.0).update(torch.ones(OUT, 2), torch.ones(D, 2))


def test_a_moment_of_too_few_keys_is_always_refused() -> None:
    """Rounding gives a missing direction a tiny pivot of either sign, which a factorisation alone may accept."""
    torch.manual_seed(0)
    for _ in range(50):
        K = torch.randn(32, 31, dtype=torch.float64)
        with pytest.raises(InvalidOption, match="singular"):
            cholesky_factor(K @ K.T / 31, 1.0, 0.0)
        cholesky_factor(K @ K.T / 31, 1.0, 1e-3)  # the control: with λ every direction costs something
