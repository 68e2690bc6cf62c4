"""Counts of values by their hashes, with eight bytes per value, for files of millions of records."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable
from functools import cached_property

import numpy as np


class HashCounts:
    """Hashes of values and their counts. Any two of 10⁶ values share a hash with a probability of 3·10⁻⁸.

    Call `counts` only after the last `add`, since its first call sorts the hashes.
    """

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, value: Hashable) -> None:
        """Count a value."""
        self._hashes.append(hash(value))

    def counts(self, values: Iterable[Hashable]) -> np.ndarray:
        """Return how often each of these values was added."""
        hashes, counts = self._sorted
        wanted = np.fromiter(map(hash, values), dtype=np.int64)
        positions = np.searchsorted(hashes[:-1], wanted)
        return np.where(hashes[positions] == wanted, counts[positions], 0)

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct hashes in order and their counts, with a final placeholder for absent ones."""
        hashes, counts = np.unique(np.array(self._hashes, dtype=np.int64), return_counts=True)
        return np.append(hashes, 0), np.append(counts, 0)
