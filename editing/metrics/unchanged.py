"""Unchanged: does the model answer as before the edit, right or wrong? (EasyEdit, arXiv 2308.07269: locality)

The answer that must stay is given token by token, and the model's most likely token at each of its places is compared
with that of the model before the edits. So it needs two states and no right answer, where token accuracy needs the
answer and no second state: a model that was wrong before and is as wrong now has not changed.
"""

from __future__ import annotations

from collections.abc import Sequence


def unchanged(before: Sequence[int], after: Sequence[int]) -> float:
    """The share of an answer's places whose most likely token is the one that it was; 0 to 1, 1 for the same state.

    Both are the most likely tokens at the same places of the same answer, at least one.
    """
    return sum(a == b for a, b in zip(before, after, strict=True)) / len(before)
