"""What a method of editing has to declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from editing.editors.batch import Solver
from editing.linalg.null_space import NullSpace


@dataclass(frozen=True)
class Method:
    """`solver` builds what a layer needs from its null space and the ridge λ; `source` says paper and equation."""

    name: str
    source: str
    solver: Callable[[NullSpace, float], Solver]
