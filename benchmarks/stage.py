"""What a benchmark is: two ways to the same answer, and how near the answers must be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Values = Mapping[str, np.ndarray]


class Disagreement(Exception):
    """The two ways gave different answers, so their times cannot be compared."""


@dataclass(frozen=True)
class Answer:
    """What a run computed.

    `units` of work were done (facts, tokens, …), so that a side may do fewer and be compared per unit; `real` is the
    share of the tokens run that were not padding; `operations` are the floating-point operations by formula, where
    they are not counted; `seconds` is the time, where that of the whole work is not meant.
    """

    units: float
    values: Values = field(default_factory=dict)
    real: float = 1.0
    operations: float = 0.0
    seconds: float | None = None


Work = Callable[[], Answer]


@dataclass(frozen=True)
class Reached:
    """What was measured beside the ratio: our first answer, the most bytes of either side, our share of GEMM peak."""

    answer: Answer
    ours_bytes: int
    literal_bytes: int
    peak_share: float


Limits = Callable[[Reached], Iterable[str]]


def least_of_peak(share: float) -> Limits:
    """A share of the GEMM peak that must be reached."""
    return lambda reached: [f"under {share:.0%} of peak"] if reached.peak_share < share else []


def most_memory(part: float) -> Limits:
    """How much of the literal way's memory may be used."""
    return lambda reached: ["memory"] if reached.ours_bytes > part * reached.literal_bytes else []


@dataclass(frozen=True)
class Stage:
    """`ours` and `literal` take a size and prepare what is not timed; `compare` reports how near the answers are.

    `sizes` and `wanted` ratios go by "quick" and "full": small problems gain less, so the quick ratios only guard
    against losing what there is. `double`: the work is in float64; `counted` that torch counts its operations,
    rather than a formula, which decompositions and solves need; `whole` that the memory is all that the
    processes doing the work hold, not what they hold beyond what was there before. `limits` names what else is
    missed at full size.
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
    limits: Limits = lambda _reached: ()


def near(name: str, ours: np.ndarray, literal: np.ndarray, limit: float) -> str:
    """The largest difference relative to the largest value. Raises Disagreement above the limit."""
    distance = float(np.abs(ours - literal).max() / max(np.abs(literal).max(), np.finfo(float).tiny))
    if not distance <= limit:
        raise Disagreement(f"{name}: difference {distance:.2g}, at most {limit:.0e} is allowed")
    return f"{name}: difference {distance:.0e}"
