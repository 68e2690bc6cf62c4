"""Null space of a moment as wide as GPT2-XL's keys."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.literal.statistics import projector
from benchmarks.stage import Answer, Stage, Work, near
from editing.linalg.null_space import NullSpace, Threshold
from editing.linalg.spectrum import decompose

THRESHOLD = 2e-2


@dataclass(frozen=True)
class Size:
    """Width of the keys."""

    d: int


def moment(d: int) -> Tensor:
    """A mean second moment whose eigenvalues fall off as those of a real layer do: from about 30 to 1e-4."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.logspace(1.5, -4, d, dtype=torch.float64).sqrt()
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64) / d**0.5
    keys = scale[:, None] * mixing
    C0: Tensor = keys @ keys.T
    return C0


def ours(size: Size) -> Work:
    """Symmetric eigendecomposition; the thinner of basis and complement."""
    C0 = moment(size.d)

    def work() -> Answer:
        space = NullSpace.from_spectrum(decompose(C0), Threshold("absolute", THRESHOLD))
        probe = torch.eye(size.d, 8, dtype=torch.float64)
        # Tridiagonal form, divide and conquer, back-transformation (Golub and Van Loan): 9 d³ at most.
        return Answer(1, {"P": space.project(probe).numpy()}, operations=9.0 * size.d**3)

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
