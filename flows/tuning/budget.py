"""How many trials fit into the time budget, from the cost of earlier trials."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Budget:
    """So many seconds from now on. What trials share is paid from it, but says nothing about the next trial."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    own: list[float] = field(default_factory=list)
    _start: float = field(init=False)

    def __post_init__(self) -> None:
        self._start = self.clock()

    @property
    def left(self) -> float:
        """Seconds; negative where the budget is overrun."""
        return self.seconds - (self.clock() - self._start)

    @property
    def next(self) -> float:
        """The estimated seconds of the next trial: those of the slowest so far."""
        return max(self.own, default=0.0)

    def allows_another(self) -> bool:
        """Whether one more trial fits; the first one always does."""
        return not self.own or self.next <= self.left
