"""Spectrum of a mean second moment: all eigenvalues, and the requested eigenvectors.

The two halves of what LAPACK's dsyevr does at once. The reduction to tridiagonal form costs the same whatever is wanted
later; eigenvectors are then paid for by the column.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import LinAlgError, eigh_tridiagonal, eigvalsh_tridiagonal, lapack
from threadpoolctl import threadpool_limits
from torch import Tensor

from editflow.editing.errors import NonFinite

Floats = npt.NDArray[np.float64]

SKEW = 1e-11
"""The largest entry of VᵀV − I that is let pass; MRRR stays under 1e-12 where eigenvalues are separated."""


@dataclass(frozen=True)
class Spectrum:
    """C0 = Q T Qᵀ with T tridiagonal, as LAPACK's dsytrd leaves it, and the eigenvalues; float64, on the CPU.

    `eigenvalues` (d,) ascend and are not negative. `reduced` (d, d) holds T on its diagonal and on the one below. Under
    these, column i holds the rest of the Householder vector vᵢ, and Q is the product of I − `scales[i]` vᵢ vᵢᵀ, with
    `scales` (d − 1,). Entries above the diagonal have no meaning.
    """

    eigenvalues: Tensor
    reduced: Tensor
    scales: Tensor

    def eigenvectors(self, first: int, last: int) -> Tensor:
        """Those from `first` to before `last` by ascending eigenvalue, orthonormal columns (d, last − first).

        Raises IndexError outside 0…d. Each column's entry of largest magnitude is positive, so that equal input gives
        equal output. Where the range ends among equal eigenvalues, which of their vectors it takes is arbitrary, and
        the range beside it need not take the others. Cost for k columns: O(d k) for T, d k² to check them, 2 d² k
        operations to turn them by Q.
        """
        d = len(self.eigenvalues)
        if not 0 <= first <= last <= d:
            raise IndexError(
                f"eigenvectors {first} to {last} of {d}: the range must lie in 0…{d} and not run backwards"
            )
        if first == last:
            return torch.zeros(d, 0, dtype=torch.float64)
        diagonal, below = self.reduced.diagonal().numpy(), self.reduced.diagonal(-1).numpy()
        with _torch_threads():
            vectors = torch.from_numpy(_tridiagonal(diagonal, below, first, last))
        # Q leaves the first direction alone, so its reflectors start one row further down.
        turned = torch.ormqr(self.reduced[1:, :-1], self.scales, vectors[1:])
        return _signed(torch.cat([vectors[:1], turned]))


def decompose(mean: Tensor) -> Spectrum:
    """Reduce a symmetric (d, d) matrix to tridiagonal form and find its eigenvalues; its lower triangle is read.

    Raises NonFinite. AlphaEdit (arXiv 2410.02355, §3.2) takes the SVD of K0 K0ᵀ; for a symmetric positive semidefinite
    matrix the eigendecomposition is the same. Cost: 4/3 d³ operations, half of them matrix–vector products (LAPACK
    dsytrd), O(d²) for the eigenvalues (dsterf), and one copy of the matrix.
    """
    if not bool(torch.isfinite(mean).all()):
        raise NonFinite("the second moment holds NaN or infinity: check the model's weights and dtype")
    matrix = np.array(mean.cpu().numpy(), np.float64, order="F")
    with _torch_threads():
        work = int(lapack.dsytrd_lwork(len(matrix), lower=1)[0])
        reduced, diagonal, below, scales, _ = lapack.dsytrd(matrix, lower=1, lwork=work, overwrite_a=1)
        eigenvalues = eigvalsh_tridiagonal(diagonal, below, lapack_driver="sterf")
    return Spectrum(torch.from_numpy(eigenvalues).clamp_min(0.0), torch.from_numpy(reduced), torch.from_numpy(scales))


def _tridiagonal(diagonal: Floats, below: Floats, first: int, last: int) -> Floats:
    """Eigenvectors `first` to before `last` of a tridiagonal matrix, (d, last − first).

    By MRRR (Dhillon, Parlett and Vömel, LAPACK dstemr), which makes each vector in O(d). Where many eigenvalues agree
    in all digits it may give up, or lose orthogonality without saying so. Divide and conquer (dstevd) does neither,
    but makes all d vectors, at 4/3 d³ operations and often fewer.
    """
    found: Floats
    try:
        _, found = eigh_tridiagonal(diagonal, below, select="i", select_range=(first, last - 1), lapack_driver="stemr")
        if np.abs(found.T @ found - np.eye(last - first)).max() <= SKEW:
            return found
    except LinAlgError:
        pass
    _, found = eigh_tridiagonal(diagonal, below, lapack_driver="stevd")
    return found[:, first:last]


def _signed(vectors: Tensor) -> Tensor:
    """Each column with its entry of largest magnitude positive."""
    peaks = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    return vectors * torch.sign(peaks)


def _torch_threads() -> AbstractContextManager[Any]:
    """As many BLAS threads as torch has: SciPy's own would take every core, and their number moves the last bits.

    The limit is the process's, so spectra may not be made in several of its threads at once.
    """
    limits: AbstractContextManager[Any] = threadpool_limits(torch.get_num_threads(), user_api="blas")
    return limits
