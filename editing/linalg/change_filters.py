"""Filters for a solved change: which of its components are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.linalg.projected_ridge import LowRank


@dataclass(frozen=True)
class Directions:
    """The k dominant singular directions of a weight: orthonormal columns `left` (d_out, k) and `right` (d_in, k)."""

    left: Tensor
    right: Tensor


def dominant_directions(weight: Tensor, share: float) -> Directions:
    """As many of the largest singular directions as hold at least the `share` of ‖W‖², for W (d_out, d_in).

    In float64 on the CPU; one singular value decomposition.
    """
    U, S, Vt = torch.linalg.svd(weight.to("cpu", torch.float64), full_matrices=False)
    held = S.square().cumsum(0) / S.square().sum()
    k = min(int((held < share).sum()) + 1, len(S))
    return Directions(U[:, :k], Vt[:k].T)


def without_directions(change: LowRank, directions: Directions) -> LowRank:
    """(I − U Uᵀ) Δ (I − V Vᵀ): Δ without its entries in the rows and columns of W's dominant singular directions.

    After REVIVE (arXiv 2601.11042): a change is written in the basis of W's singular vectors, and what would meddle
    with the largest of them is left out. The rank does not grow.
    """
    U, V = directions.left, directions.right
    return LowRank(change.left - U @ (U.T @ change.left), change.right - V @ (V.T @ change.right))


def largest_relative(change: Tensor, weight: Tensor, keep: float) -> Tensor:
    """Δ where |Δ / W| is among the largest share `keep` of all entries, and 0 elsewhere; Δ and W (d_out, d_in) float64.

    RECT (arXiv 2401.04700). Entries as large as the last one kept are kept with it, so all are where Δ is 0. Where
    W is 0 any change is infinitely large.
    """
    relative = (change / weight).abs().nan_to_num(nan=0.0, posinf=torch.inf)
    dropped = change.numel() - max(round(keep * change.numel()), 1)
    least = relative.flatten().kthvalue(dropped + 1).values
    return torch.where(relative >= least, change, 0.0)


def limited_singular_values(total: Tensor, largest: float, base: float) -> Tensor:
    """The change U F(Σ) Vᵀ of a weight whose largest singular value is `largest`, for `total` = U Σ Vᵀ float64.

    PRUNE (arXiv 2405.16821): F(σ) = σ up to `largest`, and above it `largest` + log_base(σ / `largest`). A large
    base clips. A total change within bounds is given back as it is.
    """
    U, S, Vt = torch.linalg.svd(total, full_matrices=False)
    if float(S[0]) <= largest:
        return total
    above = largest + torch.log(S.clamp_min(largest) / largest) / math.log(base)
    down: Tensor = (U * torch.where(largest < S, above, S)) @ Vt
    return down
