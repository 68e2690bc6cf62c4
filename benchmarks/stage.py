"""Definition of a benchmark: two implementations of a stage, and how close their answers must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Values = Mapping[str, np.ndarray]


class Disagreement(Exception):
    """The two implementations gave different answers, so their times cannot be compared."""


@dataclass(frozen=True)
class Answer:
    """The result of one run.

    `units` is the amount of work done (facts, tokens, …): an implementation may do less and is compared per unit.
    `real` is the share of processed tokens that were not padding. `operations` is the number of floating-point
    operations by formula, if they are not counted. `seconds` replaces the measured time if only a part of the run
    counts.
    """

    units: float
    values: Values = field(default_factory=dict)
    real: float = 1.0
    operations: float = 0.0
    seconds: float | None = None


Work = Callable[[], Answer]


@dataclass(frozen=True)
class Measured:
    """Measured besides the ratio: our first answer, peak bytes of both implementations, our share of the GEMM peak."""

    answer: Answer
    ours_bytes: int
    literal_bytes: int
    peak_share: float


Limits = Callable[[Measured], Iterable[str]]


def min_peak_share(share: float) -> Limits:
    """A minimum share of the GEMM peak."""
    return lambda measured: [f"under {share:.0%} of peak"] if measured.peak_share < share else []


def max_memory_share(share: float) -> Limits:
    """A maximum share of the literal implementation's memory."""
    return lambda measured: ["memory"] if measured.ours_bytes > share * measured.literal_bytes else []


@dataclass(frozen=True)
class Stage:
    """A benchmark of one stage.

    `ours` and `literal` take a size, prepare the untimed inputs and return the timed work. `compare` describes how
    close the answers are. `sizes` and `wanted`, the required ratios, are keyed by "quick" and "full". Small problems
    gain less, so the quick ratios only catch regressions. `double`: the work is in float64. `counted`: torch counts the
    operations; decompositions and solves need a formula instead. `whole`: memory is the total of the working processes,
    not the increase since preparation. `limits` lists the other targets that were missed at full size.
    """

    title: str
    unit: str
    wanted: Mapping[str, float]
    sizes: Mapping[str, Any]
    ours: Callable[[Any], Work]
    literal: Callable[[Any], Work]
    compare: Callable[[Answer, Answer], str]
    double: bool = False
    counted: bool = True
    whole: bool = False
    rounds: Mapping[str, int] = field(default_factory=lambda: {"quick": 2, "full": 2})
    limits: Limits = lambda _measured: ()


def compare_arrays(name: str, ours: np.ndarray, literal: np.ndarray, limit: float) -> str:
    """The largest difference relative to the largest value. Raises Disagreement above the limit."""
    distance = float(np.abs(ours - literal).max() / max(np.abs(literal).max(), np.finfo(float).tiny))
    if not distance <= limit:
        raise Disagreement(f"{name}: difference {distance:.2g} exceeds {limit:.0e}")
    return f"{name}: difference {distance:.0e}"
