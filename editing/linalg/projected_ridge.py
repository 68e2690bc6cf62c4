"""The closed-form update of AlphaEdit: ridge regression in a subspace, extended batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.linalg.null_space import NullSpace


@dataclass(frozen=True)
class LowRank:
    """A weight change Δ = left · rightᵀ: left (d_out, n), right (d_in, n), float64."""

    left: Tensor
    right: Tensor

    def dense(self) -> Tensor:
        """Δ as a (d_out, d_in) matrix."""
        return self.left @ self.right.T

    def norm(self) -> float:
        """Frobenius norm, from n × n products only: ‖LRᵀ‖² = tr((LᵀL)(RᵀR))."""
        squared = ((self.left.T @ self.left) * (self.right.T @ self.right)).sum()
        return float(squared.clamp_min(0).sqrt())


class ProjectedRidge:
    """AlphaEdit's update (arXiv 2410.02355, eq. 14) for one layer over all batches of a run.

    The paper's Δ = R K1ᵀ P (Kp Kpᵀ P + K1 K1ᵀ P + λI)⁻¹ equals R Vᵀ with Q = P [Kp K1] and
    V = Q (QᵀQ + λI)⁻¹ E1, where E1 picks the columns of K1 (push-through identity, then Woodbury). This system is
    (N+n) × (N+n), symmetric positive definite, and its Cholesky factor grows by n rows per batch: a batch costs
    O(d·(N+n)·n + (N+n)²·n), and no d × d matrix is formed. Once N+n exceeds r, the same V is cheaper as
    Û (AAᵀ + λI)⁻¹ A1 with A = Ûᵀ[Kp K1], r × r; from then on only AAᵀ + λI is kept.
    """

    def __init__(self, null_space: NullSpace, ridge: float) -> None:
        """`ridge` is λ > 0 (the paper's L2 term: 1; its published code: 10)."""
        if ridge <= 0:
            raise InvalidOption(f"ridge {ridge}: λ must be above 0, or the system is singular")
        self.null_space = null_space
        self.ridge = ridge
        self._blocks: list[Tensor] = []  # Qᵀ in blocks of rows: the faster orientation for products of few rows
        self._factor = torch.zeros(0, 0, dtype=torch.float64)
        self._basis: Tensor | None = None
        self._inner = torch.zeros(0, 0, dtype=torch.float64)

    def extend(self, keys: Tensor) -> None:
        """Add keys (d, n) to the system as keys of earlier batches. Raises NonFinite."""
        rows = self.null_space.project(keys).T
        if not bool(torch.isfinite(rows).all()):
            raise NonFinite("NaN or infinity among the keys of the facts: check the model's weights and dtype")
        if self._basis is None and len(self._factor) + len(rows) > self.null_space.rank:
            self._reduce()
        if self._basis is None:
            cross = torch.cat([torch.zeros(len(rows), 0, dtype=torch.float64), *(rows @ b.T for b in self._blocks)], 1)
            self._factor = _grow_cholesky(self._factor, cross.T, rows @ rows.T, self.ridge)
            self._append(rows)
        else:
            self._absorb(rows, self._basis)

    def update(self, residuals: Tensor, keys: Tensor) -> LowRank:
        """Return Δ for residuals R (d_out, n) at keys K1 (d_in, n), and add the keys to the system."""
        self.extend(keys)
        return LowRank(residuals.to(torch.float64), self._right(keys))

    def _append(self, rows: Tensor) -> None:
        """Add a block. Merge blocks of similar size, so that their number is logarithmic in the number of batches."""
        blocks = [*self._blocks, rows.contiguous()]
        while len(blocks) > 1 and len(blocks[-2]) <= len(blocks[-1]):
            blocks[-2:] = [torch.cat(blocks[-2:])]
        self._blocks = blocks

    def _reduce(self) -> None:
        """Switch from the growing (N × N) system to the fixed r × r one."""
        r = self.null_space.rank
        self._basis = self.null_space.basis()
        self._inner = self.ridge * torch.eye(r, dtype=torch.float64)
        for rows in self._blocks:
            self._absorb(rows, self._basis)
        self._blocks, self._factor = [], torch.zeros(0, 0, dtype=torch.float64)

    def _absorb(self, rows: Tensor, basis: Tensor) -> None:
        """Add projected keys (n, d) to the r × r system."""
        A = rows @ basis
        self._inner += A.T @ A

    def _right(self, keys: Tensor) -> Tensor:
        """V (d_in, n) for the n keys added last."""
        if self._basis is not None:
            A1 = self._basis.T @ keys.to(torch.float64)
            return self._basis @ torch.cholesky_solve(A1, _cholesky(self._inner))
        # The upper part of L⁻¹ E1 is zero; its lower part is the inverse of the bottom right block of L.
        n, L = keys.shape[1], self._factor
        Y = torch.zeros(len(L), n, dtype=torch.float64)
        Y[-n:] = torch.linalg.solve_triangular(L[-n:, -n:], torch.eye(n, dtype=torch.float64), upper=False)
        X = torch.linalg.solve_triangular(L.T, Y, upper=True).T
        parts = X.split([len(rows) for rows in self._blocks], dim=1)
        V = torch.zeros(n, self.null_space.d, dtype=torch.float64)
        for part, rows in zip(parts, self._blocks, strict=True):
            V += part @ rows
        return V.T


def _cholesky(matrix: Tensor) -> Tensor:
    """Lower Cholesky factor. Raises InvalidOption if the ridge is too small relative to the keys."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed):
        raise InvalidOption("the update's system is singular: raise edit.ridge, or remove facts that repeat each other")
    return factor  # type: ignore[no-any-return]


def _grow_cholesky(factor: Tensor, cross: Tensor, corner: Tensor, ridge: float) -> Tensor:
    """Cholesky factor of [[A, B], [Bᵀ, C + ridge·I]], from that of A (N, N), B = cross (N, n) and C = corner (n, n)."""
    n, N = len(corner), len(factor)
    below = torch.linalg.solve_triangular(factor, cross, upper=False).T
    grown = torch.zeros(N + n, N + n, dtype=torch.float64)
    grown[:N, :N] = factor
    grown[N:, :N] = below
    grown[N:, N:] = _cholesky(corner + ridge * torch.eye(n, dtype=torch.float64) - below @ below.T)
    return grown
