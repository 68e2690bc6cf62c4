"""The other methods' formulas, written out one symbol at a time like `literal`'s; shares no code with the package.

    solving      memit_delta (literal's, with λ)  rome_delta
    afterwards   projected_delta  filtered_delta

Sources: MEMIT (arXiv 2210.07229), ROME (2202.05262), AlphaEdit (2410.02355), REVIVE (2601.11042).
"""

from __future__ import annotations

import torch
from torch import Tensor

from oracle import literal


def memit_delta(R: Tensor, K1: Tensor, Kp: Tensor | None, C0: Tensor, alpha: float, lam: float) -> Tensor:
    """Δ = R K1ᵀ (K1 K1ᵀ + Kp Kpᵀ + α C0 + λ I)⁻¹, (d_out, d_in)."""
    return literal.memit_delta(R, K1, Kp, C0 + lam / alpha * torch.eye(len(C0), dtype=C0.dtype), alpha)


def projected_delta(delta: Tensor, P: Tensor) -> Tensor:
    """Δ P."""
    return delta @ P


def filtered_delta(delta: Tensor, W0: Tensor, share: float) -> Tensor:
    """U M Vᵀ where M = Uᵀ Δ V with its first k rows and columns put to 0, U and V all singular vectors of W0.

    k is the smallest number whose largest singular values squared make up the share of all of them.
    """
    U, S, Vt = torch.linalg.svd(W0, full_matrices=True)
    total, k, seen = float((S**2).sum()), 0, 0.0
    while seen < share * total:
        seen += float(S[k] ** 2)
        k += 1
    M = U.T @ delta @ Vt.T
    M[:k, :] = 0.0
    M[:, :k] = 0.0
    return U @ M @ Vt
