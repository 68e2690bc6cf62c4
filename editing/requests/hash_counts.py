"""Counts of values seen, eight bytes each, for files of millions of records."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable
from functools import cached_property

import numpy as np


class HashCounts:
    """Hashes of things and how often each was seen. Two of 10⁶ things share a hash with a chance of 3·10⁻⁸.

    Ask only after the last `add`: the first question sorts them.
    """

    def __init__(self, things: Iterable[Hashable] = ()) -> None:
        self._met = array("q", map(hash, things))

    def add(self, thing: Hashable) -> None:
        """Take a thing in."""
        self._met.append(hash(thing))

    def times(self, things: Iterable[Hashable]) -> np.ndarray:
        """How often each of these was seen."""
        values, counts = self._counted
        wanted = np.fromiter(map(hash, things), dtype=np.int64)
        at = np.searchsorted(values[:-1], wanted)
        return np.where(values[at] == wanted, counts[at], 0)

    @cached_property
    def _counted(self) -> tuple[np.ndarray, np.ndarray]:
        """The hashes in order and how often each was seen; the last is a placeholder for absent ones."""
        values, counts = np.unique(np.array(self._met, dtype=np.int64), return_counts=True)
        return np.append(values, 0), np.append(counts, 0)
