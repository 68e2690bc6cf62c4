"""Spectrum of a mean second moment: all eigenvalues, and eigenvectors on request.

These are the two halves of LAPACK's dsyevr. The cost of the reduction to tridiagonal form is fixed; each eigenvector
adds to it.
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

MAX_SKEW = 1e-11
"""Largest accepted entry of VᵀV − I; MRRR stays below 1e-12 for separated eigenvalues."""


@dataclass(frozen=True)
class Spectrum:
    """C0 = Q T Qᵀ with T tridiagonal, as LAPACK's dsytrd leaves it, and the eigenvalues; float64, on the CPU.

    `eigenvalues` (d,) are ascending and not negative. `reduced` (d, d) has T on its diagonal and first subdiagonal.
    Below them, column i has the rest of the Householder vector vᵢ; Q is the product of I − `scales[i]` vᵢ vᵢᵀ, with
    `scales` (d − 1,). Entries above the diagonal are undefined.
    """

    eigenvalues: Tensor
    reduced: Tensor
    scales: Tensor

    def eigenvectors(self, first: int, last: int) -> Tensor:
        """Return eigenvectors `first` to `last` − 1 by ascending eigenvalue, as orthonormal columns (d, last − first).

        Raises IndexError outside 0…d. In each column the entry of largest magnitude is positive, so equal input gives
        equal output. If the range ends among equal eigenvalues, the choice of their vectors is arbitrary, and two
        adjacent ranges need not be orthogonal there. Cost for k columns: O(d k) for T, d k² to check them, 2 d² k
        operations to multiply them by Q.
        """
        d = len(self.eigenvalues)
        if not 0 <= first <= last <= d:
            raise IndexError(f"eigenvectors {first} to {last} of {d}: need 0 ≤ first ≤ last ≤ {d}")
        if first == last:
            return torch.zeros(d, 0, dtype=torch.float64)
        diagonal, below = self.reduced.diagonal().numpy(), self.reduced.diagonal(-1).numpy()
        with _torch_threads():
            vectors = torch.from_numpy(_tridiagonal(diagonal, below, first, last))
        # Q does not change the first direction, so its reflectors start one row further down.
        rotated = torch.ormqr(self.reduced[1:, :-1], self.scales, vectors[1:])
        return _normalise_signs(torch.cat([vectors[:1], rotated]))


def decompose(mean: Tensor) -> Spectrum:
    """Reduce a symmetric (d, d) matrix to tridiagonal form and compute its eigenvalues. Reads the lower triangle.

    Raises NonFinite. AlphaEdit (arXiv 2410.02355, §3.2) uses the SVD of K0 K0ᵀ, which equals the eigendecomposition
    for a symmetric positive semidefinite matrix. Cost: 4/3 d³ operations, half of them matrix–vector products (LAPACK
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
    """Eigenvectors `first` to `last` − 1 of a tridiagonal matrix, (d, last − first).

    Uses MRRR (Dhillon, Parlett and Vömel, LAPACK dstemr), which computes each vector in O(d). If many eigenvalues
    agree in all digits, MRRR may fail or silently lose orthogonality. Then divide and conquer (dstevd) computes all d
    vectors, with at most 4/3 d³ operations.
    """
    found: Floats
    try:
        _, found = eigh_tridiagonal(diagonal, below, select="i", select_range=(first, last - 1), lapack_driver="stemr")
        if np.abs(found.T @ found - np.eye(last - first)).max() <= MAX_SKEW:
            return found
    except LinAlgError:
        pass
    _, found = eigh_tridiagonal(diagonal, below, lapack_driver="stevd")
    return found[:, first:last]


def _normalise_signs(vectors: Tensor) -> Tensor:
    """Make the entry of largest magnitude in each column positive."""
    peaks = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    return vectors * torch.sign(peaks)


def _torch_threads() -> AbstractContextManager[Any]:
    """Limit BLAS to torch's number of threads: SciPy would use all cores, and their number changes the last bits.

    The limit is global to the process, so do not compute spectra in several threads at once.
    """
    limits: AbstractContextManager[Any] = threadpool_limits(torch.get_num_threads(), user_api="blas")
    return limits
