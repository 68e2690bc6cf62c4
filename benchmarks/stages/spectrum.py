"""Null space of a moment as wide as GPT2-XL's keys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.literal.statistics import projector
from benchmarks.stage import Answer, Stage, Work, near
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.spectrum import decompose
from editflow.editing.linalg.threshold import Threshold

THRESHOLD = 2e-2

REAL = (
    (0.0, -2.45), (0.05, -2.30), (0.1, -2.24), (0.2, -2.15), (0.3, -2.07), (0.4, -2.00), (0.5, -1.92),
    (0.6, -1.84), (0.7, -1.74), (0.8, -1.62), (0.9, -1.43), (0.95, -1.26), (0.99, -0.88), (1.0, -0.08),
)  # fmt: skip
"""(quantile, log10 of the eigenvalue) of layer 5 of SmolLM2-135M, d 1,536, over 120,000 tokens of Wikipedia."""


@dataclass(frozen=True)
class Size:
    """Width of the keys."""

    d: int


def moment(d: int) -> Tensor:
    """A mean second moment with the eigenvalues of a real layer, stretched to the width d; their directions are random.

    Only a random Q in Q Λ Qᵀ keeps the eigenvalues what they are: mixing scaled keys at random would spread them again.
    """
    generator = torch.Generator().manual_seed(0)
    logarithms = np.interp(np.linspace(0, 1, d), *np.array(REAL).T)
    Q = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
    C0: Tensor = (Q * torch.from_numpy(10.0**logarithms)) @ Q.T
    return (C0 + C0.T) / 2


def ours(size: Size) -> Work:
    """Tridiagonal form; eigenvectors of the thinner of basis and complement only."""
    C0 = moment(size.d)

    def work() -> Answer:
        space = NullSpace.from_spectrum(decompose(C0), Threshold("absolute", THRESHOLD))
        probe = torch.eye(size.d, 8, dtype=torch.float64)
        d, k = space.vectors.shape
        # Tridiagonal form, check of the k vectors (each made in O(d)), back-transformation (Golub and Van Loan).
        operations = 4 / 3 * d**3 + d * k**2 + 2 * d**2 * k
        return Answer(1, {"P": space.project(probe).numpy()}, operations=operations)

    return work


def literal_way(size: Size) -> Work:
    """Full SVD and a dense projector."""
    C0 = moment(size.d)

    def work() -> Answer:
        P = projector(C0, THRESHOLD)
        return Answer(1, {"P": P[:, :8].numpy()}, operations=21.0 * size.d**3 + 2.0 * size.d**3)

    return work


def compare(ours: Answer, literal: Answer) -> str:
    """The same projector, on eight directions."""
    return near("P", ours.values["P"], literal.values["P"], 1e-6)


STAGE = Stage(
    title="spectrum and projector",
    unit="layer",
    wanted={"quick": 1.5, "full": 4.0},
    sizes={"tiny": Size(64), "quick": Size(1_600), "full": Size(6_400)},
    ours=ours,
    literal=literal_way,
    compare=compare,
    double=True,
    counted=False,
    rounds={"quick": 3, "full": 1},
)
