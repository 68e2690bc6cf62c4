"""How many trials fit into the time budget, from the cost of earlier trials."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Seconds, counted from now. Shared work uses them up but does not enter the estimate of the next trial."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    own: list[float] = field(default_factory=list)
    """The own seconds of each trial so far."""
    _start: float = field(init=False)

    def __post_init__(self) -> None:
        self._start = self.clock()

    @property
    def left(self) -> float:
        """Remaining seconds; negative if the budget is exceeded."""
        return self.seconds - (self.clock() - self._start)

    @property
    def next(self) -> float:
        """The estimated seconds of the next trial: the slowest one so far."""
        return max(self.own, default=0.0)

    def allows_another(self) -> bool:
        """Whether one more trial fits; the first one always does."""
        return not self.own or self.next <= self.left
