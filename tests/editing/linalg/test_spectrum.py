"""Eigenvalues and eigenvectors by parts agree with the whole decomposition, for spectra of many shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor

from editflow.editing.errors import NonFinite
from editflow.editing.linalg import spectrum as parts
from editflow.editing.linalg.spectrum import Spectrum, decompose


def gaussian(d: int, n: int, seed: int) -> Tensor:
    return torch.randn(d, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_eigenvalues(values: Tensor, seed: int) -> Tensor:
    """A matrix with these eigenvalues and random eigenvectors."""
    Q = torch.linalg.qr(gaussian(len(values), len(values), seed)).Q
    matrix: Tensor = Q * values @ Q.T
    return (matrix + matrix.T) / 2


def mean(keys: Tensor) -> Tensor:
    return keys @ keys.T / keys.shape[1]


MATRICES: dict[str, Callable[[int, int], Tensor]] = {
    "full rank": lambda d, seed: mean(gaussian(d, 3 * d, seed)),
    "fewer tokens than width": lambda d, seed: mean(gaussian(d, max(1, d // 3), seed)),
    "one token": lambda d, seed: mean(gaussian(d, 1, seed)),
    "nothing": lambda d, _: torch.zeros(d, d, dtype=torch.float64),
    "constant": lambda d, _: 3.7 * torch.eye(d, dtype=torch.float64),
    "diagonal": lambda d, seed: torch.diag(gaussian(d, 1, seed)[:, 0].abs()),
    "diagonal with equals": lambda d, _: torch.diag(torch.arange(d, dtype=torch.float64) % 3),
    "steep": lambda d, seed: with_eigenvalues(torch.logspace(-9, 2, d, dtype=torch.float64), seed),
    "clusters": lambda d, seed: with_eigenvalues(1e-8 + torch.arange(d, dtype=torch.float64) % 3, seed),
}


def scale(C0: Tensor) -> float:
    return max(float(C0.abs().sum(0).max()), 1e-300)


def check(C0: Tensor, spectrum: Spectrum, first: int, last: int) -> None:
    """Check that columns are orthonormal eigenvectors for the given eigenvalues, with normalised signs."""
    V, values = spectrum.eigenvectors(first, last), spectrum.eigenvalues[first:last]
    assert (V.shape, V.dtype) == ((len(C0), last - first), torch.float64)
    assert torch.allclose(V.T @ V, torch.eye(last - first, dtype=torch.float64), rtol=0, atol=1e-10)
    assert float((C0 @ V - V * values).norm()) < 1e-11 * scale(C0)
    if V.shape[1]:
        assert bool((V.gather(0, V.abs().argmax(0, keepdim=True)) > 0).all())


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(sorted(MATRICES)),
    st.integers(1, 40),
    st.integers(0, 99),
    st.sampled_from([1e-12, 1, 1e12]),
    st.data(),
)
def test_parts_agree_with_the_whole_decomposition(
    name: str, d: int, seed: int, factor: float, data: st.DataObject
) -> None:
    C0 = factor * MATRICES[name](d, seed)
    first = data.draw(st.integers(0, d))
    last = data.draw(st.integers(first, d))
    spectrum, whole = decompose(C0), torch.linalg.eigh(C0)
    expected = whole.eigenvalues.clamp_min(0.0)
    assert torch.allclose(spectrum.eigenvalues, expected, rtol=0, atol=1e-12 * scale(C0))
    assert bool((spectrum.eigenvalues.diff() >= 0).all())
    check(C0, spectrum, first, last)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["full rank", "steep", "diagonal"]), st.integers(3, 40), st.integers(0, 99), st.data())
def test_the_projector_belongs_to_the_requested_range(name: str, d: int, seed: int, data: st.DataObject) -> None:
    C0 = MATRICES[name](d, seed)
    cut = data.draw(st.integers(1, d - 1))
    whole = torch.linalg.eigh(C0)
    assume(float(whole.eigenvalues.diff()[cut - 1]) > 1e-3 * scale(C0))
    expected = whole.eigenvectors[:, cut:] @ whole.eigenvectors[:, cut:].T
    V, more = (decompose(C0).eigenvectors(first, d) for first in (cut, cut - 1))
    assert torch.allclose(V @ V.T, expected, rtol=0, atol=1e-9)
    assert not torch.allclose(more @ more.T, expected, rtol=0, atol=1e-3)  # control: a range one longer


@pytest.mark.parametrize("name", MATRICES)
def test_both_sides_of_a_split_span_the_space(name: str) -> None:
    """Wide enough for several blocks of the reduction; MRRR fails on clusters of a hundred eigenvalues."""
    C0 = MATRICES[name](300, 7)
    spectrum = decompose(C0)
    for first, last in ((0, 100), (100, 300), (0, 0), (300, 300), (0, 300)):
        check(C0, spectrum, first, last)
    cut = int(spectrum.eigenvalues.diff().argmax()) + 1
    low, high = spectrum.eigenvectors(0, cut), spectrum.eigenvectors(cut, 300)
    assert float((low.T @ high).abs().max()) < 1e-9


@pytest.fixture(params=["gives up", "skewed"])
def broken_mrrr(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Make dstemr fail, or return vectors that are not orthogonal. Gives the drivers used, in order."""
    real, used = parts.eigh_tridiagonal, []

    def solve(*tridiagonal: Any, lapack_driver: str, **options: Any) -> Any:
        used.append(lapack_driver)
        values, vectors = real(*tridiagonal, lapack_driver=lapack_driver, **options)
        if lapack_driver == "stemr" and request.param == "gives up":
            raise np.linalg.LinAlgError("info=22")
        return values, vectors + 1e-9 * (lapack_driver == "stemr")

    monkeypatch.setattr(parts, "eigh_tridiagonal", solve)
    yield used


def test_divide_and_conquer_where_mrrr_fails(broken_mrrr: list[str]) -> None:
    C0 = MATRICES["full rank"](30, 1)
    check(C0, decompose(C0), 5, 12)
    assert broken_mrrr == ["stemr", "stevd"]


def test_mrrr_alone_where_it_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    C0, real, used = MATRICES["full rank"](30, 1), parts.eigh_tridiagonal, []
    monkeypatch.setattr(parts, "eigh_tridiagonal", lambda *a, **o: used.append(o["lapack_driver"]) or real(*a, **o))
    check(C0, decompose(C0), 5, 12)
    assert used == ["stemr"]


def pools() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blas_uses_torchs_number_of_threads_and_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[list[int]] = []
    for name in ("eigvalsh_tridiagonal", "eigh_tridiagonal"):
        real = getattr(parts, name)
        monkeypatch.setattr(parts, name, lambda *a, real=real, **o: inside.append(pools()) or real(*a, **o))
    with threadpool_limits(2, user_api="blas"):
        outside = pools()
        decompose(MATRICES["full rank"](20, 3)).eigenvectors(0, 5)
        assert pools() == outside
    assert torch.get_num_threads() == 1
    assert inside == [[1] * len(outside)] * 2
    assert set(outside) == {2}  # control: without the limit there would be two


@pytest.mark.parametrize("threads", [1, 2])
def test_equal_input_gives_equal_bytes(threads: int) -> None:
    """With two threads too; a fixture resets torch to one."""
    torch.set_num_threads(threads)
    C0 = MATRICES["steep"](600, 5)
    before = C0.clone()
    first, second = decompose(C0), decompose(C0)
    assert torch.equal(C0, before)
    for one, other in (
        (first.eigenvalues, second.eigenvalues),
        (first.reduced, second.reduced),
        (first.scales, second.scales),
        (first.eigenvectors(450, 600), second.eigenvectors(450, 600)),
        (first.eigenvectors(450, 600), first.eigenvectors(450, 600)),
    ):
        assert one.numpy().tobytes() == other.numpy().tobytes()


def test_refusals() -> None:
    spectrum = decompose(MATRICES["full rank"](4, 0))
    for first, last in ((-1, 2), (0, 5), (3, 2)):
        with pytest.raises(IndexError, match="of 4"):
            spectrum.eigenvectors(first, last)
    for bad in (torch.nan, torch.inf):
        with pytest.raises(NonFinite):
            decompose(torch.full((3, 3), bad))
