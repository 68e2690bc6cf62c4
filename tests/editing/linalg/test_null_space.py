"""Properties of the projector, for every threshold rule and for either stored half of the eigenvectors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from oracle import literal
from torch import Tensor

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.spectrum import Spectrum, decompose
from editflow.editing.linalg.threshold import Threshold

D = 30
RULES = [Threshold("absolute", 1e-3), Threshold("absolute", 1.0), Threshold("energy", 1e-4), Threshold("rank", 0.3)]


@pytest.fixture
def C0(random_keys: Callable[..., Tensor]) -> Tensor:
    keys = random_keys(D, 400)
    return keys @ keys.T / 400


@pytest.mark.parametrize("threshold", RULES, ids=str)
def test_projector_laws(C0: Tensor, threshold: Threshold) -> None:
    spectrum = decompose(C0)
    space = NullSpace.from_spectrum(spectrum, threshold)
    P = space.matrix()
    assert torch.allclose(P @ P, P, atol=1e-12)
    assert torch.allclose(P, P.T, atol=1e-12)
    assert float(P.trace()) == pytest.approx(space.rank)
    dropped = spectrum.eigenvalues[: space.rank]
    inside = P @ C0 @ P
    assert float(torch.linalg.eigvalsh(inside)[-1]) == pytest.approx(float(dropped[-1]), rel=1e-6)
    assert float(inside.trace()) == pytest.approx(float(dropped.sum()), rel=1e-6)
    basis = space.basis()
    assert torch.allclose(basis @ basis.T, P, atol=1e-12)
    assert space.vectors.shape[1] <= D - space.vectors.shape[1]  # the thinner half is the one kept


def test_absolute_threshold_bounds_the_largest_eigenvalue_and_equals_the_literal_projector(C0: Tensor) -> None:
    space = NullSpace.from_spectrum(decompose(C0), Threshold("absolute", 1e-2))
    P = space.matrix()
    assert float(torch.linalg.eigvalsh(P @ C0 @ P)[-1]) < 1e-2
    assert torch.allclose(P, literal.projector(C0, 1e-2), atol=1e-9)
    assert not torch.allclose(P, literal.projector(C0, 1e-1), atol=1e-3)  # control: another threshold


def test_only_the_narrower_side_is_computed(C0: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    made = Spectrum.eigenvectors

    def noted(spectrum: Spectrum, first: int, last: int) -> Tensor:
        asked.append((first, last))
        return made(spectrum, first, last)

    monkeypatch.setattr(Spectrum, "eigenvectors", noted)
    for share in (0.3, 0.5, 0.8):
        NullSpace.from_spectrum(decompose(C0), Threshold("rank", share))
    assert asked == [(0, 9), (0, 15), (24, 30)]


def test_refusals(C0: Tensor) -> None:
    with pytest.raises(InvalidOption, match="no eigenvalue under the threshold"):
        NullSpace.from_spectrum(decompose(C0), Threshold("absolute", 1e-30))
    for rule, value in (("rank", 3), ("rank", 0), ("energy", 0), ("absolute", 0), ("absolute", -1)):
        with pytest.raises(InvalidOption, match="above 0"):
            Threshold(rule, value)  # type: ignore[arg-type]
    with pytest.raises(NonFinite):
        decompose(torch.full((3, 3), torch.inf))
    everything = decompose(torch.eye(4, dtype=torch.float64))
    assert NullSpace.from_spectrum(everything, Threshold("rank", 1.0)).rank == 4
    assert NullSpace.from_spectrum(everything, Threshold("rank", 1.0)).vectors.shape == (4, 0)
