"""The plane of the base's principal axes, the overlap of densities in it, and its confidence region."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from editing.metrics.plane import LEVEL, Floats, Plane, bandwidth, density, ellipse, overlap, share_inside


def normal(n: int) -> Floats:
    """n values spread as a standard normal distribution's quantiles are: a sample without luck."""
    return np.asarray(stats.norm.ppf((np.arange(n) + 0.5) / n))


def test_the_plane_is_that_of_the_widest_directions() -> None:
    random = np.random.default_rng(0)
    states = random.standard_normal((300, 5)) * np.array([0.1, 4.0, 0.1, 2.0, 0.1]) + 7
    plane = Plane.fit(states)
    assert np.abs(plane.axes) == pytest.approx(np.eye(5)[[1, 3]], abs=0.1)
    assert plane.axes @ plane.axes.T == pytest.approx(np.eye(2), abs=1e-12)
    places = plane.project(states)
    assert places.mean(0) == pytest.approx([0, 0], abs=1e-12)
    assert places.std(0, ddof=1) == pytest.approx([4, 2], rel=0.1)
    assert np.cov(places.T)[0, 1] == pytest.approx(0, abs=1e-10)


def test_the_signs_are_those_of_the_largest_entries() -> None:
    states = np.random.default_rng(1).standard_normal((40, 4)) * np.array([5, 3, 1, 1])
    for given in (states, states[::-1], -states):
        axes = Plane.fit(given).axes
        assert (axes[[0, 1], np.abs(axes).argmax(1)] > 0).all()
        assert axes == pytest.approx(Plane.fit(states).axes, abs=1e-10)


def test_the_base_alone_says_where_the_plane_is() -> None:
    """What an edited model does cannot turn the picture of the base."""
    base = np.random.default_rng(2).standard_normal((50, 4))
    far = base + np.array([100, 0, 0, 0])
    plane = Plane.fit(base)
    assert plane.project(far) - plane.project(base) == pytest.approx(np.tile(100 * plane.axes[:, 0], (50, 1)))


def test_a_density_is_one_and_scipys() -> None:
    values = np.array([0.0, 1.0, 1.5, 4.0])
    at = np.linspace(-20, 25, 5001)
    found = density(values, at, bandwidth(values))
    assert np.trapezoid(found, at) == pytest.approx(1, abs=1e-9)
    assert found == pytest.approx(stats.gaussian_kde(values, "scott")(at), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0, 3.0])
def test_the_overlap_of_two_normals(apart: float) -> None:
    """2 Φ(−δ / 2σ) in closed form, with the kernel's width in σ."""
    values = normal(2000)
    wide = np.sqrt(1 + bandwidth(values) ** 2)
    assert overlap(values, values + apart) == pytest.approx(2 * stats.norm.cdf(-apart / 2 / wide), abs=2e-3)
    assert overlap(values, values + apart) == pytest.approx(overlap(values + apart, values), abs=1e-6)


def test_the_ends_of_the_overlap() -> None:
    values = normal(100)
    assert overlap(values, values) == pytest.approx(1, abs=1e-12)
    assert overlap(values, values + 50) == pytest.approx(0, abs=1e-12)
    assert overlap(values, values + 1e9) == 0
    assert 0 < overlap(values, np.zeros(100)) < 1  # one point has a density too


def test_an_unmoved_cloud_has_95_in_100_inside_and_one_moved_away_none() -> None:
    random = np.random.default_rng(4)
    shape = np.array([[3.0, 0.0], [1.0, 0.5]])
    base, again = (random.standard_normal((20000, 2)) @ shape for _ in range(2))
    assert share_inside(base, again) == pytest.approx(LEVEL, abs=0.005)
    assert share_inside(base, again, 0.5) == pytest.approx(0.5, abs=0.01)
    out = base + np.array([0, 40])
    assert share_inside(base, out) == 0
    assert share_inside(base, base[:1] * 0) == 1


def test_the_ellipse_is_the_edge_of_the_region() -> None:
    base = np.random.default_rng(6).standard_normal((300, 2)) @ np.array([[2.0, 1.0], [0.0, 1.0]]) + 5
    edge = ellipse(base)
    assert edge[0] == pytest.approx(edge[-1])
    centre = base.mean(0)
    assert share_inside(base, centre + (edge - centre) * (1 - 1e-9)) == 1
    assert share_inside(base, centre + (edge - centre) * (1 + 1e-9)) == 0
    squared = np.einsum("ni,ij,nj->n", edge - centre, np.linalg.inv(np.cov(base.T)), edge - centre)
    assert squared == pytest.approx(np.full(len(edge), stats.chi2.ppf(LEVEL, 2)))
