"""Drift of hidden states: the distance between a layer's output for fixed prompts in the base and the edited model.

All functions take two matrices (n prompts × d), row i of both belonging to prompt i. Distances are in the units of the
hidden states; divide by `spread` to compare layers or models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.metrics.principal_plane import Floats, Plane, overlap, share_inside

FEWEST = 3
"""Prompts below which a confidence region has no covariance to depend on."""


def spread(base: Floats) -> float:
    """mean ‖bᵢ − μ‖: the mean distance of the base's states from their mean, the yardstick of all distances here."""
    return float(linalg.norm(base - base.mean(0), axis=1).mean())


def mean_shift(base: Floats, edited: Floats) -> float:
    """‖mean edited − mean base‖. From 0, without limit; 0 for identical states, ‖t‖ for a translation by t.

    The centre's move alone: steps in all directions cancel, which `paired_distance` shows.
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
    states, ‖t‖ for a translation by t. The Fréchet Inception Distance (arXiv 1706.08500) prints d², this is d.

    With the centred states A and B, tr (Σ₁Σ₂)^½ is the sum of the singular values of A Bᵀ over n − 1, so that
    d² − ‖μ₁ − μ₂‖² = min ‖A − Q B‖² / (n − 1) over orthogonal Q. That holds for n below d as well and needs no d × d
    matrix, no root and no shrinkage. Covariances of few prompts still differ from those of many: compare scores over
    the same prompts only. Costs O(n d min(n, d)).
    """
    A, B = (linalg.qr(states - states.mean(0), mode="r")[0][: states.shape[1]] for states in (base, edited))
    Q, _ = linalg.orthogonal_procrustes(B.T, A.T)
    # As a residual, since the difference of traces would leave the root of a rounding error for identical states.
    turned = linalg.norm(B.T @ Q - A.T) ** 2 / (len(base) - 1)
    return float(np.sqrt(mean_shift(base, edited) ** 2 + turned))


def hausdorff_distance(base: Floats, edited: Floats) -> float:
    """The largest distance from a state of one cloud to the nearest of the other, either way round.

    max(maxᵢ minⱼ ‖eᵢ − bⱼ‖, maxⱼ minᵢ ‖bⱼ − eᵢ‖). From 0, without limit; 0 for identical clouds, in whatever order;
    at most the largest ‖eᵢ − bᵢ‖. One prompt decides it.
    """
    from scipy.spatial.distance import directed_hausdorff

    return float(max(directed_hausdorff(edited, base)[0], directed_hausdorff(base, edited)[0]))


DISTANCES: dict[str, Callable[[Floats, Floats], float]] = {
    measure.__name__: measure
    for measure in (mean_shift, relative_mean_shift, paired_distance, frechet_distance, hausdorff_distance)
}
"""What is measured between the states as they are; measurements after projection are in `plane`."""


def drift(base: Floats, edited: Floats) -> dict[str, float]:
    """Every score by name, for states (n, d) of n ≥ 3 prompts.

    The distances above, the base's `spread` and, in the plane of the base's first two principal axes, `overlap_x` and
    `overlap_y` of the marginal densities, `share_inside` (edited states within the base's 95 % confidence ellipse),
    `base_share_inside` (the base's own, about 0.95 as far as its cloud is normal) and `plane_share` (of the base's
    variance: how much of it the plane shows at all). Identical states have overlaps 1 and equal shares inside.

    None changes with the order of the prompts or when both clouds are moved alike. The distances do not change when
    both are rotated, the scores in the plane not when a coordinate of both is stretched.

    Raises InvalidOption when the shapes differ, prompts are too few or the base's states span no plane; NonFinite.
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
            f"hidden states {base.shape} and {edited.shape} are not those of the same prompts and layer"
        )
    if len(base) < FEWEST:
        raise InvalidOption(f"{len(base)} prompts are too few for drift: give at least {FEWEST}")
    if not (np.isfinite(base).all() and np.isfinite(edited).all()):
        raise NonFinite("a hidden state is not finite: check the model's weights and dtype")
