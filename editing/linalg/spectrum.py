"""Eigendecomposition of a mean second moment."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from editing.errors import NonFinite


@dataclass(frozen=True)
class Spectrum:
    """C0 = U Λ Uᵀ: `eigenvalues` (d,) ascending, `eigenvectors` (d, d) in columns, both float64."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def decompose(mean: Tensor) -> Spectrum:
    """Eigendecomposition of a symmetric (d, d) float64 matrix.

    AlphaEdit (arXiv 2410.02355, §3.2) takes the SVD of K0 K0ᵀ; for a symmetric positive semidefinite matrix the
    eigendecomposition is the same at about a quarter of the cost (9 d³ operations at most). The sign of each vector
    is fixed by making its entry of largest magnitude positive, so that equal input gives equal output.
    """
    if not bool(torch.isfinite(mean).all()):
        raise NonFinite("the second moment holds NaN or infinity: check the model's weights and dtype")
    eigenvalues, vectors = torch.linalg.eigh(mean)
    peaks = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    return Spectrum(eigenvalues.clamp_min(0.0), vectors * torch.sign(peaks))
