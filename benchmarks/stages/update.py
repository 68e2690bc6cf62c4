"""Benchmark of the closed-form update of one layer, late in a run."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.literal.statistics import update
from benchmarks.stage import Answer, Stage, Work, compare_arrays, max_memory_share
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.projected_ridge import ProjectedRidge


@dataclass(frozen=True)
class Size:
    """Widths, number of facts in the batch and before it, and rank of the null space.

    The rank is 0.78 of the width: the mean of layers 4 to 8 of the default model at the published threshold.
    """

    d_in: int
    d_out: int
    new: int
    earlier: int
    rank: int


@dataclass(frozen=True)
class Problem:
    """R (d_out, new), K1 (d_in, new), Kp (d_in, earlier), and a basis outside the null space (d_in, d_in − rank)."""

    R: Tensor
    K1: Tensor
    Kp: Tensor
    used: Tensor


def problem(size: Size) -> Problem:
    """Random residuals, keys and null space, the same for both implementations."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    used = torch.linalg.qr(draw(size.d_in, size.d_in - size.rank)).Q
    return Problem(draw(size.d_out, size.new), draw(size.d_in, size.new), draw(size.d_in, size.earlier), used)


def ours(size: Size) -> Work:
    """Add one batch to the Cholesky factor of earlier batches, which a run already has."""
    given = problem(size)
    before = ProjectedRidge(NullSpace(given.used, is_basis=False), 1.0)
    before.extend(given.Kp)

    def work() -> Answer:
        change = copy.copy(before).update(given.R, given.K1)
        n, N, d = size.new, size.earlier, size.d_in
        products = 4 * d * (d - size.rank) * n + 2 * d * (N + n) * n + 2 * d * (N + n) * n
        solves = N**2 * n + N * n**2 + n**3 + (N + n) ** 2 * n
        return Answer(
            1, {"left": change.left.numpy(), "right": change.right.numpy()}, operations=float(products + solves)
        )

    return work


def literal_way(size: Size) -> Work:
    """Solve with C = Kp Kpᵀ and P as d × d matrices, prepared in advance, as in the published code."""
    given = problem(size)
    C, P = given.Kp @ given.Kp.T, torch.eye(size.d_in, dtype=torch.float64) - given.used @ given.used.T

    def work() -> Answer:
        delta = update(given.R, given.K1, C, P, 1.0)
        d, n = size.d_in, size.new
        operations = 4 * d**2 * n + 2 * d**3 + 2 * d * n * size.d_out + 2 / 3 * d**3 + 2 * d**2 * size.d_out
        return Answer(1, {"delta": delta.numpy()}, operations=float(operations))

    return work


def compare(ours: Answer, literal: Answer) -> str:
    """Compare Δ within 1e-6."""
    return compare_arrays("Δ", ours.values["left"] @ ours.values["right"].T, literal.values["delta"], 1e-6)


STAGE = Stage(
    title="closed-form update",
    unit="batch",
    wanted={"quick": 15.0, "full": 60.0},
    sizes={
        "tiny": Size(48, 16, 5, 12, 36),
        "quick": Size(1_600, 400, 50, 450, 1_250),
        "full": Size(6_400, 1_600, 100, 1_900, 5_000),
    },
    ours=ours,
    literal=literal_way,
    compare=compare,
    double=True,
    counted=False,
    rounds={"quick": 5, "full": 3},
    limits=max_memory_share(0.1),
)
