"""Second moments per layer, full SVD, dense projector and dense solve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.literal.passes import linear_inputs, pad


@torch.no_grad()
def second_moment(model: Any, layer: nn.Module, linear: nn.Module, batches: Sequence[Sequence[list[int]]]) -> Tensor:
    """C0 (d, d) of one layer: one pass over the corpus for this layer alone, stopped after it.

    Products and sum are in the model's dtype, float32, as in MEMIT's published settings of layer statistics.
    """
    total: Tensor | None = None
    count = 0
    for batch in batches:
        ids, mask = pad(batch)
        keys = linear_inputs(model, layer, linear, ids, mask)[mask.bool()]
        total = keys.T @ keys if total is None else total + keys.T @ keys
        count += len(keys)
    assert total is not None  # noqa: S101
    return total.double() / count


def projector(C0: Tensor, threshold: float) -> Tensor:
    """P (d, d) from singular vectors with singular values below the threshold (AlphaEdit, arXiv 2410.02355, §3.2)."""
    U, S, _ = torch.linalg.svd(C0, full_matrices=False)
    U = U[:, threshold > S]
    P: Tensor = U @ U.T
    return P


def update(R: Tensor, K1: Tensor, C: Tensor, P: Tensor, ridge: float) -> Tensor:
    """Δ (d_out, d_in) of AlphaEdit's equation 14: (P (K1 K1ᵀ + C) + λI) Δᵀ = P K1 Rᵀ, C (d, d) = Σ Kp Kpᵀ."""
    A = P @ (K1 @ K1.T + C) + ridge * torch.eye(len(P), dtype=P.dtype)
    delta: Tensor = torch.linalg.solve(A, P @ K1 @ R.T).T
    return delta
