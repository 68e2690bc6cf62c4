"""Unchanged: does the model answer as before the edit, right or wrong? (EasyEdit, arXiv 2308.07269: locality)

With teacher forcing of the answer that must stay, compare the most likely token at each place with that of the unedited
model. This needs two states but no right answer, whereas token accuracy needs the right answer but only one state. A
model whose wrong answers stay the same is unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence


def unchanged(before: Sequence[int], after: Sequence[int]) -> float:
    """Return the share of an answer's places with the same most likely token, from 0 to 1.

    `before` and `after` are the most likely tokens at the places of one answer, at least one.
    """
    return sum(a == b for a, b in zip(before, after, strict=True)) / len(before)
