"""The closed-form updates of MEMIT and ROME, which use the second moment of the corpus's keys."""

from __future__ import annotations

import torch
from torch import Tensor

from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.projected_ridge import LowRank, ProjectedRidge


class MomentRidge:
    """MEMIT's update (arXiv 2210.07229, eq. 14) for one layer: Δ = R K1ᵀ (K1 K1ᵀ + Kp Kpᵀ + α C0 + λI)⁻¹.

    With L Lᵀ = α C0 + λI and whitened keys Q = L⁻¹ [Kp K1], this is Δ = R Vᵀ with V = L⁻ᵀ Q (QᵀQ + I)⁻¹ E1, where E1
    picks the columns of K1: AlphaEdit's ridge regression with P = I and λ = 1. It costs one Cholesky factorisation of a
    d × d matrix at the start. Each batch then costs two triangular solves with its keys, and a system whose size is the
    number of facts.
    """

    def __init__(self, mean: Tensor, alpha: float, ridge: float, *, previous: bool) -> None:
        """`mean` is C0 (d_in, d_in) float64; `previous` says whether keys Kp of earlier batches are preserved.

        Raises InvalidOption if α C0 + λI is singular.
        """
        self._factor = cholesky_factor(mean, alpha, ridge)
        self._previous = previous
        self._system = self._new_system()

    def extend(self, keys: Tensor) -> None:
        """Add keys (d_in, n) of an earlier batch to the keys to preserve, or ignore them without `previous`."""
        if self._previous:
            self._system.extend(self._whiten(keys))

    def update(self, residuals: Tensor, keys: Tensor) -> LowRank:
        """Return Δ for residuals R (d_out, n) at keys K1 (d_in, n)."""
        system = self._system if self._previous else self._new_system()
        change = system.update(residuals, self._whiten(keys))
        return LowRank(change.left, torch.linalg.solve_triangular(self._factor.T, change.right, upper=True))

    def _whiten(self, keys: Tensor) -> Tensor:
        whitened: Tensor = torch.linalg.solve_triangular(self._factor, keys.to(torch.float64), upper=False)
        return whitened

    def _new_system(self) -> ProjectedRidge:
        return ProjectedRidge(NullSpace.whole(len(self._factor)), 1.0)


class RankOne:
    """ROME's update (arXiv 2202.05262, eq. 2) for one fact: Δ k = r exactly, along u = (C0 + λI)⁻¹ k."""

    def __init__(self, mean: Tensor, ridge: float) -> None:
        """`mean` is C0 (d_in, d_in) float64. Raises InvalidOption if C0 + λI is singular."""
        self._factor = cholesky_factor(mean, 1.0, ridge)

    def extend(self, keys: Tensor) -> None:
        """Ignore earlier keys, which ROME does not preserve."""

    def update(self, residuals: Tensor, keys: Tensor) -> LowRank:
        """Return Δ = r uᵀ / (uᵀ k) for the residual r (d_out, 1) at the key k (d_in, 1).

        Raises InvalidOption for several facts.
        """
        if keys.shape[1] != 1:
            raise InvalidOption(f"ROME writes one fact at a time, not {keys.shape[1]}: set edit.batch_size = 1")
        k = keys.to(torch.float64)
        u = torch.cholesky_solve(k, self._factor)
        return LowRank(residuals.to(torch.float64), u / (u * k).sum())


def cholesky_factor(mean: Tensor, alpha: float, ridge: float) -> Tensor:
    """Return L (d, d), lower triangular with L Lᵀ = α C0 + λI. Costs d³/3 operations.

    Raises InvalidOption if the matrix is singular.
    """
    matrix = alpha * mean + ridge * torch.eye(len(mean), dtype=torch.float64)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    # Because of rounding, the factorisation of a singular matrix often succeeds, with a last pivot up to some hundred
    # times the rounding error. The smallest eigenvalues of real layers are 5e11 times that.
    negligible = 1e4 * torch.finfo(torch.float64).eps * float(matrix.diagonal().sum())
    if int(failed) or float(factor.diagonal().square().min()) <= negligible:
        raise InvalidOption(
            "the second moment is singular, so nothing limits some changes: raise corpus.tokens, or set edit.ridge "
            "above 0"
        )
    return factor  # type: ignore[no-any-return]
