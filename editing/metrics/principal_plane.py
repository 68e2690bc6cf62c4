"""Hidden states in two dimensions: the base model's principal plane, marginal densities, confidence region.

The plane is that of the base's first two principal axes, after each coordinate is divided by its standard deviation: a
handful of coordinates are often hundreds of times as large as the rest (arXiv 2109.04404, 2402.17762), and without
that a picture would be of one of them. AlphaEdit's Figure 5 (arXiv 2410.02355, §4.4) draws t-SNE instead. t-SNE is
fitted to both clouds at once, keeps neighbours rather than distances and places no further point: the base's own
picture would change with every edited model beside it, and neither a density nor a confidence region in it would mean
anything. This plane is the same for every state of a model. What happens across it does not show; that is what the
distances in `editflow.editing.metrics.drift` are for.
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
"""Share of a normal base cloud that its confidence region holds."""
NO_PLANE = "the base model's hidden states span no plane: give prompts that differ in more ways"
_STEADY = 1e-6  # of the widest coordinate: what varies less is rounding, and is not blown up
_STEPS = 2048  # of the grid that densities are summed on: the overlap is right to about 1e-4
_REACH = 8.0  # bandwidths beyond the outermost base point, where a normal kernel holds nothing that float64 can show


@dataclass(frozen=True)
class Plane:
    """Coordinates are centred by `centre` (d,), divided by `scale` (d,) and taken along `axes` (2, d), orthonormal.

    `share` of the base's variance, so scaled, lies in the plane, from 2/d to 1: how much of the whole a picture shows.
    Of the two signs of an axis it has the one that makes its largest entry positive, so the same states give the same
    picture everywhere.
    """

    centre: Floats
    scale: Floats
    axes: Floats
    share: float

    @classmethod
    def fit(cls, base: Floats) -> Plane:
        """The first two principal axes of states (n, d). Raises InvalidOption where they span no plane."""
        centre, spread = base.mean(0), base.std(0, ddof=1)
        scale = np.maximum(spread, _STEADY * spread.max())
        if not scale.all():
            raise InvalidOption(NO_PLANE)
        _, values, axes = linalg.svd((base - centre) / scale, full_matrices=False)
        if len(values) < 2 or values[1] <= values[0] * max(base.shape) * np.finfo(float).eps:
            raise InvalidOption(NO_PLANE)
        largest = axes[[0, 1], np.abs(axes[:2]).argmax(1)]
        share = float((values[:2] ** 2).sum() / (values**2).sum())
        return cls(centre, scale, axes[:2] * np.sign(largest)[:, None], share)

    def project(self, states: Floats) -> Floats:
        """Places (n, 2) of states (n, d); the base's mean is the origin."""
        return ((states - self.centre) / self.scale) @ self.axes.T


def density(values: Floats, at: Floats, width: float) -> Floats:
    """Kernel density estimate of values (n,) at points (m,), with normal kernels of standard deviation `width`."""
    distances = (at[:, None] - values) / width
    return np.asarray(np.exp(-0.5 * distances**2).mean(1) / (width * math.sqrt(2 * math.pi)))


def bandwidth(base: Floats) -> float:
    """0.9 min(σ, IQR / 1.34) n^(−1/5) of the base's values (n,) (Silverman, Density Estimation, 1986, eq. 3.31).

    The interquartile range keeps a few values far away from blurring all others. The values may not all agree.
    """
    scale, middle = float(base.std(ddof=1)), float(np.subtract(*np.percentile(base, [75, 25]))) / 1.34
    return float(0.9 * (min(scale, middle) or scale) * len(base) ** -0.2)


def overlap(base: Floats, edited: Floats) -> float:
    """∫ min(f, g) of the kernel densities f of base values (n,) and g of edited ones (m,).

    From 0 (disjoint) to 1 (the same), 1 for identical values. The overlapping coefficient (Inman & Bradley,
    Communications in Statistics 18, 1989). Both densities have the bandwidth of the base, so that a cloud that fell
    into one point still has one.
    """
    width = bandwidth(base)
    # Where f is nothing so is the minimum, however far the edited values lie.
    at = np.linspace(base.min() - _REACH * width, base.max() + _REACH * width, _STEPS)
    return min(1.0, float(np.trapezoid(np.minimum(density(base, at, width), density(edited, at, width)), at)))


def share_inside(base: Floats, points: Floats, level: float = LEVEL) -> float:
    """Share of points (m, 2) within the confidence ellipse of the base's points (n, 2).

    (p − μ)ᵀ Σ⁻¹ (p − μ) ≤ χ²₂(level) with mean and covariance of the base: the region that holds `level` of a normal
    cloud. From 0 to 1; of the base itself about `level` as far as its cloud is normal.
    """
    return float((_standard(base, points) <= _radius(level) ** 2).mean())


def ellipse(base: Floats, level: float = LEVEL, steps: int = 72) -> Floats:
    """The edge (steps + 1, 2) of the confidence region of the base's points (n, 2), closed, to be drawn."""
    angles = np.linspace(0, 2 * np.pi, steps + 1)
    circle = _radius(level) * np.stack([np.cos(angles), np.sin(angles)])
    return np.asarray(base.mean(0) + (linalg.cholesky(np.cov(base.T), lower=True) @ circle).T)


def _standard(base: Floats, points: Floats) -> Floats:
    """Squared Mahalanobis distances (m,) of points from the base's mean."""
    whitened = linalg.solve_triangular(
        linalg.cholesky(np.cov(base.T), lower=True), (points - base.mean(0)).T, lower=True
    )
    return np.asarray((whitened**2).sum(0))


def _radius(level: float) -> float:
    # χ² with two degrees of freedom is an exponential distribution, whose quantile has this form.
    return math.sqrt(-2 * math.log1p(-level))
