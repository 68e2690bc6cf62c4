"""What later work does to a change after it was solved for: which parts of it are let through."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from editing.linalg.solvers import LowRank


@dataclass(frozen=True)
class Directions:
    """The k dominant singular directions of a weight: orthonormal columns `left` (d_out, k) and `right` (d_in, k)."""

    left: Tensor
    right: Tensor


def dominant(weight: Tensor, share: float) -> Directions:
    """As many of the largest singular directions as hold at least the `share` of ‖W‖², for W (d_out, d_in).

    In float64 on the CPU; one singular value decomposition.
    """
    U, S, Vt = torch.linalg.svd(weight.to("cpu", torch.float64), full_matrices=False)
    held = S.square().cumsum(0) / S.square().sum()
    k = min(int((held < share).sum()) + 1, len(S))
    return Directions(U[:, :k], Vt[:k].T)


def without(change: LowRank, directions: Directions) -> LowRank:
    """(I − U Uᵀ) Δ (I − V Vᵀ): Δ without its entries in the rows and columns of W's dominant singular directions.

    After REVIVE (arXiv 2601.11042): a change is written in the basis of W's singular vectors, and what would meddle
    with the largest of them is left out. The rank does not grow.
    """
    U, V = directions.left, directions.right
    return LowRank(change.left - U @ (U.T @ change.left), change.right - V @ (V.T @ change.right))
