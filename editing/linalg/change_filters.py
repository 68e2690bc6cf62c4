"""Filters that keep some components of a solved change."""

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
    """Return the fewest largest singular directions that hold at least `share` of ‖W‖², for W (d_out, d_in).

    Costs one singular value decomposition in float64 on the CPU.
    """
    U, S, Vt = torch.linalg.svd(weight.to("cpu", torch.float64), full_matrices=False)
    energy = S.square().cumsum(0) / S.square().sum()
    k = min(int((energy < share).sum()) + 1, len(S))
    return Directions(U[:, :k], Vt[:k].T)


def without_directions(change: LowRank, directions: Directions) -> LowRank:
    """Return (I − U Uᵀ) Δ (I − V Vᵀ): Δ without its components along the dominant singular directions of W.

    After REVIVE (arXiv 2601.11042): in the basis of W's singular vectors, the rows and columns of Δ that belong to the
    largest ones are set to 0. The rank does not grow.
    """
    U, V = directions.left, directions.right
    return LowRank(change.left - U @ (U.T @ change.left), change.right - V @ (V.T @ change.right))


def largest_relative(change: Tensor, weight: Tensor, keep: float) -> Tensor:
    """Keep the share `keep` of the entries of Δ with the largest |Δ / W|, and set the others to 0.

    Δ and W are (d_out, d_in) float64. RECT (arXiv 2401.04700). Ties with the smallest kept entry are kept. Where W is
    0, any change counts as infinitely large.
    """
    relative = (change / weight).abs().nan_to_num(nan=0.0, posinf=torch.inf)
    dropped = change.numel() - max(round(keep * change.numel()), 1)
    least = relative.flatten().kthvalue(dropped + 1).values
    return torch.where(relative >= least, change, 0.0)


def limited_singular_values(total: Tensor, largest: float, base: float) -> Tensor:
    """Return U F(Σ) Vᵀ for `total` = U Σ Vᵀ float64; `largest` is the largest singular value of the weight.

    PRUNE (arXiv 2405.16821): F(σ) = σ up to `largest`, and `largest` + log_base(σ / `largest`) above it. A large base
    clips. If no singular value is above `largest`, returns `total` itself.
    """
    U, S, Vt = torch.linalg.svd(total, full_matrices=False)
    if float(S[0]) <= largest:
        return total
    above = largest + torch.log(S.clamp_min(largest) / largest) / math.log(base)
    limited: Tensor = (U * torch.where(largest < S, above, S)) @ Vt
    return limited
