"""Hidden states in two dimensions: the base model's principal plane, marginal densities, confidence region.

The plane is spanned by the base's first two principal axes, after each coordinate is divided by its standard deviation.
A few coordinates are often hundreds of times as large as the rest (arXiv 2109.04404, 2402.17762); without the division
the plane would show only one of them. AlphaEdit's Figure 5 (arXiv 2410.02355, §4.4) uses t-SNE instead. t-SNE is fitted
to both clouds together, preserves neighbours rather than distances, and cannot place further points. So the plot of the
base would change with each edited model, and densities and confidence regions in it would have no meaning. This plane
is the same for all states of a model. It does not show changes orthogonal to it; for these, see the distances in
`editflow.editing.metrics.drift`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from editflow.editing.errors import InvalidOption

Floats = npt.NDArray[np.floating[Any]]
LEVEL = 0.95
"""Share of a normal base cloud within its confidence region."""
NO_PLANE = "the base model's hidden states span no plane: give prompts that differ in more ways"
_MIN_SCALE = 1e-6  # relative to the widest coordinate; smaller variation is rounding and is not scaled up
_GRID_POINTS = 2048  # for integrating densities: the overlap is accurate to about 1e-4
_GRID_MARGIN = 8.0  # bandwidths beyond the outermost base point, where a normal kernel is negligible


@dataclass(frozen=True)
class Plane:
    """A plane: subtract `centre` (d,), divide by `scale` (d,), and project onto the orthonormal `axes` (2, d).

    `share`, from 2/d to 1, is the share of the base's scaled variance in the plane. The entry of largest magnitude in
    each axis is positive, so the same states give the same plot.
    """

    centre: Floats
    scale: Floats
    axes: Floats
    share: float

    @classmethod
    def fit(cls, base: Floats) -> Plane:
        """Fit the first two principal axes of states (n, d). Raises InvalidOption if the states span no plane."""
        centre, spread = base.mean(0), base.std(0, ddof=1)
        scale = np.maximum(spread, _MIN_SCALE * spread.max())
        if not scale.all():
            raise InvalidOption(NO_PLANE)
        _, values, axes = linalg.svd((base - centre) / scale, full_matrices=False)
        if len(values) < 2 or values[1] <= values[0] * max(base.shape) * np.finfo(float).eps:
            raise InvalidOption(NO_PLANE)
        largest = axes[[0, 1], np.abs(axes[:2]).argmax(1)]
        share = float((values[:2] ** 2).sum() / (values**2).sum())
        return cls(centre, scale, axes[:2] * np.sign(largest)[:, None], share)

    def project(self, states: Floats) -> Floats:
        """Coordinates (n, 2) of states (n, d) in the plane; the base's mean is the origin."""
        return ((states - self.centre) / self.scale) @ self.axes.T


def density(values: Floats, at: Floats, width: float) -> Floats:
    """Kernel density estimate of values (n,) at points (m,), using normal kernels of standard deviation `width`."""
    distances = (at[:, None] - values) / width
    return np.asarray(np.exp(-0.5 * distances**2).mean(1) / (width * math.sqrt(2 * math.pi)))


def bandwidth(base: Floats) -> float:
    """0.9 min(σ, IQR / 1.34) n^(−1/5) of the base's values (n,) (Silverman, Density Estimation, 1986, eq. 3.31).

    The interquartile range prevents outliers from widening the bandwidth. The values must not all be equal.
    """
    deviation, quartiles = float(base.std(ddof=1)), float(np.subtract(*np.percentile(base, [75, 25]))) / 1.34
    return float(0.9 * (min(deviation, quartiles) or deviation) * len(base) ** -0.2)


def overlap(base: Floats, edited: Floats) -> float:
    """∫ min(f, g) of the kernel densities f of base values (n,) and g of edited ones (m,).

    From 0 (disjoint) to 1 (identical values). This is the overlapping coefficient (Inman & Bradley, Communications in
    Statistics 18, 1989). Both densities use the bandwidth of the base, so the edited values may all be equal.
    """
    width = bandwidth(base)
    # The grid needs to cover only the base, since the minimum is 0 where f is 0.
    at = np.linspace(base.min() - _GRID_MARGIN * width, base.max() + _GRID_MARGIN * width, _GRID_POINTS)
    return min(1.0, float(np.trapezoid(np.minimum(density(base, at, width), density(edited, at, width)), at)))


def share_inside(base: Floats, points: Floats, level: float = LEVEL) -> float:
    """Share of points (m, 2) within the confidence ellipse of the base's points (n, 2).

    (p − μ)ᵀ Σ⁻¹ (p − μ) ≤ χ²₂(level), with mean and covariance of the base. From 0 to 1; about `level` for the base
    itself if its cloud is normal.
    """
    return float((_squared_distances(base, points) <= _radius(level) ** 2).mean())


def ellipse(base: Floats, level: float = LEVEL, steps: int = 72) -> Floats:
    """The edge (steps + 1, 2) of the confidence region of the base's points (n, 2), as a closed curve to draw."""
    angles = np.linspace(0, 2 * np.pi, steps + 1)
    circle = _radius(level) * np.stack([np.cos(angles), np.sin(angles)])
    return np.asarray(base.mean(0) + (linalg.cholesky(np.cov(base.T), lower=True) @ circle).T)


def _squared_distances(base: Floats, points: Floats) -> Floats:
    """Squared Mahalanobis distances (m,) of points from the base's mean."""
    whitened = linalg.solve_triangular(
        linalg.cholesky(np.cov(base.T), lower=True), (points - base.mean(0)).T, lower=True
    )
    return np.asarray((whitened**2).sum(0))


def _radius(level: float) -> float:
    # χ² with two degrees of freedom is an exponential distribution, whose quantile has this form.
    return math.sqrt(-2 * math.log1p(-level))
