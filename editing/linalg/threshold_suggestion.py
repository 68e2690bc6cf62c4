"""A scale-free threshold for a new model, suggested from its spectra alone."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from torch import Tensor

from editflow.editing.linalg.threshold import Threshold

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Candidate shares of energy; larger ones would protect nothing that the corpus uses."""
FREE = 0.5
"""Share of a layer's directions that edits need; the paper's absolute threshold leaves more on its models."""


def suggest(spectra: Sequence[Tensor], free: float = FREE) -> Threshold:
    """Return the smallest share of energy at which the median layer leaves the share `free` of its directions to edits.

    `spectra` has the ascending eigenvalues (d,) of each layer. Unlike an absolute threshold (AlphaEdit,
    arXiv 2410.02355, §3.2), a share of energy does not depend on the scale of activations. O(layers · d).
    """
    for share in SHARES:
        threshold = Threshold("energy", share)
        if median(threshold.rank(eigenvalues) / len(eigenvalues) for eigenvalues in spectra) >= free:
            return threshold
    return Threshold("rank", free)
