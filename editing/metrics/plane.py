"""Hidden states in two dimensions: the plane of the base model's states, marginal densities, confidence region.

AlphaEdit's Figure 5 (arXiv 2410.02355, §4.4) draws t-SNE instead. t-SNE is fitted to both clouds at once, keeps
neighbours rather than distances and places no further point: the base's own picture would change with every edited
model beside it, and neither an axis, a density nor a confidence region in it would have a unit. The base's principal
axes are the same for every state of a model, and a step in the plane is a step between hidden states. What happens
across the plane does not show in it; that is what the distances in `editing.metrics.drift` are for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from editing.errors import InvalidOption

Floats = npt.NDArray[np.floating[Any]]
LEVEL = 0.95
"""Share of a normal base cloud that its confidence region holds."""
_STEPS = 2048  # of the grid that densities are summed on: the overlap is right to about 1e-4
_REACH = 8.0  # bandwidths beyond the outermost base point, where a normal kernel holds nothing that float64 can show


@dataclass(frozen=True)
class Plane:
    """The two directions in which the base's states differ most: `centre` (d,) their mean, `axes` (2, d) orthonormal.

    Of the two signs of an axis it has the one that makes its largest entry positive, so the same states give the
    same picture everywhere.
    """

    centre: Floats
    axes: Floats

    @classmethod
    def fit(cls, base: Floats) -> Plane:
        """The first two principal axes of states (n, d). Raises InvalidOption where they span no plane."""
        centre = base.mean(0)
        _, values, axes = linalg.svd(base - centre, full_matrices=False)
        if len(values) < 2 or values[1] <= values[0] * max(base.shape) * np.finfo(float).eps:
            raise InvalidOption("the base model's hidden states span no plane: give prompts that differ in more ways")
        largest = axes[[0, 1], np.abs(axes[:2]).argmax(1)]
        return cls(centre, axes[:2] * np.sign(largest)[:, None])

    def project(self, states: Floats) -> Floats:
        """Coordinates (n, 2) of states (n, d); the base's mean is the origin."""
        return (states - self.centre) @ self.axes.T


def density(values: Floats, at: Floats, width: float) -> Floats:
    """Kernel density estimate of values (n,) at points (m,), with normal kernels of standard deviation `width`."""
    apart = (at[:, None] - values) / width
    return np.asarray(np.exp(-0.5 * apart**2).mean(1) / (width * math.sqrt(2 * math.pi)))


def bandwidth(base: Floats) -> float:
    """σ n^(−1/5) of the base's values (n,), which do not all agree (Scott, Multivariate Density Estimation, 1992)."""
    return float(base.std(ddof=1) * len(base) ** -0.2)


def overlap(base: Floats, edited: Floats) -> float:
    """∫ min(f, g) of the kernel densities f of base values (n,) and g of edited ones (m,).

    From 0 (apart) to 1 (the same), 1 for identical values. The overlapping coefficient (Inman & Bradley,
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
