"""Drift of hidden states: the distance between a layer's outputs for fixed prompts in the base and the edited model.

All functions take two matrices (n prompts × d), whose rows i belong to prompt i. Distances are in the units of the
hidden states; divide by `spread` to compare layers or models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.metrics.principal_plane import Floats, Plane, overlap, share_inside

MIN_PROMPTS = 3
"""Minimum number of prompts: with fewer, the covariance for a confidence region is singular."""


def spread(base: Floats) -> float:
    """mean ‖bᵢ − μ‖: the mean distance of the base's states from their mean, the scale for all distances here."""
    return float(linalg.norm(base - base.mean(0), axis=1).mean())


def mean_shift(base: Floats, edited: Floats) -> float:
    """‖mean edited − mean base‖. From 0, without limit; 0 for identical states, ‖t‖ for a translation by t.

    It measures the shift of the centre only; shifts in different directions cancel, unlike in `paired_distance`.
    """
    return float(linalg.norm(edited.mean(0) - base.mean(0)))


def relative_mean_shift(base: Floats, edited: Floats) -> float:
    """`mean_shift` over the base's `spread`. From 0, without limit; 0 for identical states."""
    return mean_shift(base, edited) / spread(base)


def paired_distance(base: Floats, edited: Floats) -> float:
    """mean ‖eᵢ − bᵢ‖ over the prompts. From 0, without limit; 0 for identical states; at least `mean_shift`."""
    return float(linalg.norm(edited - base, axis=1).mean())


def frechet_distance(base: Floats, edited: Floats) -> float:
    """Fréchet distance of the normal distributions fitted to both (Dowson & Landau, J. Multivariate Analysis 12, 1982).

    d² = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), with covariances over n − 1. From 0, without limit; 0 for identical
    states, ‖t‖ for a translation by t. The Fréchet Inception Distance (arXiv 1706.08500) is d²; this is d.

    With the centred states A and B, tr (Σ₁Σ₂)^½ is the sum of the singular values of A Bᵀ over n − 1, so that
    d² − ‖μ₁ − μ₂‖² = min ‖A − Q B‖² / (n − 1) over orthogonal Q. This also holds for n < d and needs no d × d matrix,
    matrix root or shrinkage. Covariances depend on the number of prompts: compare only scores over the same prompts.
    Costs O(n d min(n, d)).
    """
    A, B = (linalg.qr(states - states.mean(0), mode="r")[0][: states.shape[1]] for states in (base, edited))
    Q, _ = linalg.orthogonal_procrustes(B.T, A.T)
    # Computed as a residual: for identical states, a difference of traces would give the root of a rounding error.
    residual = linalg.norm(B.T @ Q - A.T) ** 2 / (len(base) - 1)
    return float(np.sqrt(mean_shift(base, edited) ** 2 + residual))


def hausdorff_distance(base: Floats, edited: Floats) -> float:
    """The largest distance from a state of either cloud to the nearest state of the other.

    max(maxᵢ minⱼ ‖eᵢ − bⱼ‖, maxⱼ minᵢ ‖bⱼ − eᵢ‖). From 0, without limit; 0 for identical clouds in any order; at most
    the largest ‖eᵢ − bᵢ‖. A single prompt determines it.
    """
    from scipy.spatial.distance import directed_hausdorff

    return float(max(directed_hausdorff(edited, base)[0], directed_hausdorff(base, edited)[0]))


DISTANCES: dict[str, Callable[[Floats, Floats], float]] = {
    measure.__name__: measure
    for measure in (mean_shift, relative_mean_shift, paired_distance, frechet_distance, hausdorff_distance)
}
"""Distances between unprojected states; the scores of projected states are in principal_plane.py."""


def drift(base: Floats, edited: Floats) -> dict[str, float]:
    """Return every score by name, for states (n, d) of n ≥ 3 prompts.

    The distances above and the base's `spread`. In the plane of the base's first two principal axes: `overlap_x` and
    `overlap_y` of the marginal densities; `share_inside`, the share of edited states within the base's 95 % confidence
    ellipse; `base_share_inside`, the same for the base's states, about 0.95 for a normal cloud; and `plane_share`, the
    share of the base's variance in the plane. For identical states, overlaps are 1 and both shares inside are equal.

    All scores are invariant to the order of the prompts and to a common translation. The distances are also invariant
    to a common rotation, and the scores in the plane to a common scaling of a coordinate.

    Raises InvalidOption if the shapes differ, there are too few prompts or the base's states span no plane, and
    NonFinite.
    """
    _check(base, edited)
    plane = Plane.fit(base)
    flat, moved = plane.project(base), plane.project(edited)
    return {
        **{name: measure(base, edited) for name, measure in DISTANCES.items()},
        "spread": spread(base),
        "overlap_x": overlap(flat[:, 0], moved[:, 0]),
        "overlap_y": overlap(flat[:, 1], moved[:, 1]),
        "share_inside": share_inside(flat, moved),
        "base_share_inside": share_inside(flat, flat),
        "plane_share": plane.share,
    }


def _check(base: Floats, edited: Floats) -> None:
    if base.shape != edited.shape or base.ndim != 2:
        raise InvalidOption(
            f"hidden states {base.shape} and {edited.shape} differ in shape: use the same prompts and layer for both"
        )
    if len(base) < MIN_PROMPTS:
        raise InvalidOption(f"{len(base)} prompts are too few for drift: give at least {MIN_PROMPTS}")
    if not (np.isfinite(base).all() and np.isfinite(edited).all()):
        raise NonFinite("a hidden state is not finite: check the model's weights and dtype")
