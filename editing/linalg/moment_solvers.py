"""Closed-form updates that weight keys by the second moment of the corpus: MEMIT's and ROME's."""

from __future__ import annotations

import torch
from torch import Tensor

from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.projected_ridge import LowRank, ProjectedRidge


class MomentRidge:
    """MEMIT's update (arXiv 2210.07229, eq. 14) for one layer: Δ = R K1ᵀ (K1 K1ᵀ + Kp Kpᵀ + α C0 + λI)⁻¹.

    With L Lᵀ = α C0 + λI and whitened keys Q = L⁻¹ [Kp K1] that is Δ = R Vᵀ, V = L⁻ᵀ Q (QᵀQ + I)⁻¹ E1, where E1 picks
    the columns of K1: the ridge regression of AlphaEdit with all directions free and λ = 1. So one Cholesky
    factorisation of a d × d matrix is paid for at the start, and a batch then costs two triangular solves with its keys
    and a system as large as the number of facts.
    """

    def __init__(self, mean: Tensor, alpha: float, ridge: float, *, previous: bool) -> None:
        """`mean` is C0 (d_in, d_in) float64; `previous`: whether earlier batches' keys Kp are held. InvalidOption
        where α C0 + λI is singular."""
        self._factor = whitening(mean, alpha, ridge)
        self._previous = previous
        self._whitened = self._fresh()

    def extend(self, keys: Tensor) -> None:
        """Take keys (d_in, n) of an earlier batch into what must stay; forgotten where none are held."""
        if self._previous:
            self._whitened.extend(self._whiten(keys))

    def update(self, residuals: Tensor, keys: Tensor) -> LowRank:
        """Δ for residuals R (d_out, n) at keys K1 (d_in, n)."""
        system = self._whitened if self._previous else self._fresh()
        change = system.update(residuals, self._whiten(keys))
        return LowRank(change.left, torch.linalg.solve_triangular(self._factor.T, change.right, upper=True))

    def _whiten(self, keys: Tensor) -> Tensor:
        whitened: Tensor = torch.linalg.solve_triangular(self._factor, keys.to(torch.float64), upper=False)
        return whitened

    def _fresh(self) -> ProjectedRidge:
        return ProjectedRidge(NullSpace.whole(len(self._factor)), 1.0)


class RankOne:
    """ROME's update (arXiv 2202.05262, eq. 2) for one fact: Δ k = r exactly, along u = (C0 + λI)⁻¹ k."""

    def __init__(self, mean: Tensor, ridge: float) -> None:
        """`mean` is C0 (d_in, d_in) float64. InvalidOption where C0 + λI is singular."""
        self._factor = whitening(mean, 1.0, ridge)

    def extend(self, keys: Tensor) -> None:
        """Earlier facts are not held."""

    def update(self, residuals: Tensor, keys: Tensor) -> LowRank:
        """Δ = r uᵀ / (uᵀ k) for the residual r (d_out, 1) at the key k (d_in, 1); InvalidOption for several facts."""
        if keys.shape[1] != 1:
            raise InvalidOption(f"ROME writes one fact at a time, not {keys.shape[1]}: set edit.batch_size = 1")
        k = keys.to(torch.float64)
        u = torch.cholesky_solve(k, self._factor)
        return LowRank(residuals.to(torch.float64), u / (u * k).sum())


def whitening(mean: Tensor, alpha: float, ridge: float) -> Tensor:
    """L (d, d) lower triangular with L Lᵀ = α C0 + λI; d³/3 operations. InvalidOption where that is singular."""
    matrix = alpha * mean + ridge * torch.eye(len(mean), dtype=torch.float64)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    # Rounding lets a singular matrix pass as often as not, with a last pivot of up to some hundred times its own size;
    # the least of real layers' eigenvalues lie at 5e11 times that.
    lost = 1e4 * torch.finfo(torch.float64).eps * float(matrix.diagonal().sum())
    if int(failed) or float(factor.diagonal().square().min()) <= lost:
        raise InvalidOption(
            "the second moment is singular, so some changes would cost nothing: raise corpus.tokens, or edit.ridge "
            "above 0"
        )
    return factor  # type: ignore[no-any-return]
