"""Benchmark of the null space of a second moment as wide as GPT2-XL's keys. The size is the width d."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.literal.statistics import projector
from benchmarks.stage import Answer, Stage, Work, compare_arrays
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.spectrum import decompose
from editflow.editing.linalg.threshold import Threshold

THRESHOLD = 2e-2

REAL = (
    (0.0, -2.45), (0.05, -2.30), (0.1, -2.24), (0.2, -2.15), (0.3, -2.07), (0.4, -2.00), (0.5, -1.92),
    (0.6, -1.84), (0.7, -1.74), (0.8, -1.62), (0.9, -1.43), (0.95, -1.26), (0.99, -0.88), (1.0, -0.08),
)  # fmt: skip
"""(quantile, log10 of the eigenvalue) of layer 5 of SmolLM2-135M, d 1,536, over 120,000 tokens of Wikipedia."""


def moment(d: int) -> Tensor:
    """A mean second moment (d, d) with the eigenvalues of a real layer, interpolated to width d, and random directions.

    It is Q Λ Qᵀ with a random Q, which keeps the eigenvalues exact; sums over random keys would spread them.
    """
    generator = torch.Generator().manual_seed(0)
    logarithms = np.interp(np.linspace(0, 1, d), *np.array(REAL).T)
    Q = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
    C0: Tensor = (Q * torch.from_numpy(10.0**logarithms)) @ Q.T
    return (C0 + C0.T) / 2


def ours(d: int) -> Work:
    """Use the tridiagonal form and only the eigenvectors of the smaller of null space and complement."""
    C0 = moment(d)

    def work() -> Answer:
        space = NullSpace.from_spectrum(decompose(C0), Threshold("absolute", THRESHOLD))
        probe = torch.eye(d, 8, dtype=torch.float64)
        k = space.vectors.shape[1]
        # Tridiagonal form, check of the k vectors (O(d) each), back-transformation (Golub and Van Loan).
        operations = 4 / 3 * d**3 + d * k**2 + 2 * d**2 * k
        return Answer(1, {"P": space.project(probe).numpy()}, operations=operations)

    return work


def literal_way(d: int) -> Work:
    """Use a full SVD and a dense projector."""
    C0 = moment(d)

    def work() -> Answer:
        P = projector(C0, THRESHOLD)
        return Answer(1, {"P": P[:, :8].numpy()}, operations=21.0 * d**3 + 2.0 * d**3)

    return work


def compare(ours: Answer, literal: Answer) -> str:
    """Compare the projectors on eight directions."""
    return compare_arrays("P", ours.values["P"], literal.values["P"], 1e-6)


STAGE = Stage(
    title="spectrum and projector",
    unit="layer",
    wanted={"quick": 1.5, "full": 4.0},
    sizes={"tiny": 64, "quick": 1_600, "full": 6_400},
    ours=ours,
    literal=literal_way,
    compare=compare,
    double=True,
    counted=False,
    rounds={"quick": 3, "full": 1},
)
