"""The plane of the base's principal axes, the overlap of densities in it, and its confidence region."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from editflow.editing.metrics.principal_plane import (
    LEVEL,
    Floats,
    Plane,
    bandwidth,
    density,
    ellipse,
    overlap,
    share_inside,
)


def normal(n: int) -> Floats:
    """n quantiles of the standard normal distribution: a sample without randomness."""
    return np.asarray(stats.norm.ppf((np.arange(n) + 0.5) / n))


def two_factors(n: int = 400, seed: int = 0) -> Floats:
    """States of five coordinates: three follow one factor, two another, each with a little noise."""
    random = np.random.default_rng(seed)
    first, second = random.standard_normal((2, n, 1))
    return np.hstack([np.repeat(first, 3, 1), np.repeat(second, 2, 1)]) + 0.1 * random.standard_normal((n, 5)) + 7


def test_the_plane_is_spanned_by_correlated_coordinates() -> None:
    states = two_factors()
    plane = Plane.fit(states)
    wanted = [np.array([1, 1, 1, 0, 0]) / np.sqrt(3), np.array([0, 0, 0, 1, 1]) / np.sqrt(2)]
    assert np.abs(plane.axes) == pytest.approx(np.array(wanted), abs=0.2)
    assert plane.axes @ plane.axes.T == pytest.approx(np.eye(2), abs=1e-12)
    assert 0.97 < plane.share < 1
    places = plane.project(states)
    assert places.mean(0) == pytest.approx([0, 0], abs=1e-12)
    assert places.var(0, ddof=1).sum() == pytest.approx(5 * plane.share)  # five coordinates of variance 1
    assert np.cov(places.T)[0, 1] == pytest.approx(0, abs=1e-10)


def test_one_huge_coordinate_does_not_turn_the_plane() -> None:
    states = two_factors()
    stretched = states * np.array([1, 1, 1000, 1, 1]) + 3
    assert Plane.fit(stretched).project(stretched) == pytest.approx(Plane.fit(states).project(states), abs=1e-9)


def test_a_constant_coordinate_is_not_scaled_up() -> None:
    states = np.hstack([two_factors(), np.full((400, 1), 2.0)])
    plane = Plane.fit(states)
    assert plane.axes[:, 5] == pytest.approx([0, 0], abs=1e-12)
    assert plane.axes[:, :5] == pytest.approx(Plane.fit(two_factors()).axes, abs=1e-9)


def test_the_largest_entry_of_each_axis_is_positive() -> None:
    states = two_factors()
    for given in (states, states[::-1], -states):
        axes = Plane.fit(given).axes
        assert (axes[[0, 1], np.abs(axes).argmax(1)] > 0).all()
        assert axes == pytest.approx(Plane.fit(states).axes, abs=1e-10)


def test_the_plane_depends_only_on_the_base() -> None:
    """An edited model cannot change the plot of the base."""
    base = two_factors()
    step = np.array([100.0, 0, 0, 0, 0])
    plane = Plane.fit(base)
    wanted = np.tile(100 / plane.scale[0] * plane.axes[:, 0], (len(base), 1))
    assert plane.project(base + step) - plane.project(base) == pytest.approx(wanted)


def test_a_density_integrates_to_one_and_equals_scipys() -> None:
    values = np.array([0.0, 1.0, 1.5, 4.0])
    at, width = np.linspace(-20, 25, 5001), bandwidth(values)
    found = density(values, at, width)
    assert np.trapezoid(found, at) == pytest.approx(1, abs=1e-9)
    wanted = stats.gaussian_kde(values, width / values.std(ddof=1))(at)
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def test_the_bandwidth_follows_silvermans_rule() -> None:
    """By hand: quartiles 1 and 3 of 0 … 4, whose σ is √2.5; then with an outlier, and with half of the values equal."""
    assert bandwidth(np.arange(5.0)) == pytest.approx(0.9 * 2 / 1.34 * 5**-0.2)
    assert bandwidth(np.array([0.0, 1, 2, 3, 400])) == pytest.approx(0.9 * 2 / 1.34 * 5**-0.2)
    assert bandwidth(np.array([1.0, 1, 1, 1, 6])) == pytest.approx(0.9 * np.sqrt(5) * 5**-0.2)


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 3.0])
def test_the_overlap_of_two_normals(distance: float) -> None:
    """2 Φ(−δ / 2σ) in closed form, with the kernel's width in σ."""
    values = normal(2000)
    wide = np.sqrt(1 + bandwidth(values) ** 2)
    assert overlap(values, values + distance) == pytest.approx(2 * stats.norm.cdf(-distance / 2 / wide), abs=2e-3)
    assert overlap(values, values + distance) == pytest.approx(overlap(values + distance, values), abs=1e-6)


def test_the_overlap_ranges_from_zero_to_one() -> None:
    values = normal(100)
    assert overlap(values, values) == pytest.approx(1, abs=1e-12)
    assert overlap(values, values + 50) == pytest.approx(0, abs=1e-12)
    assert overlap(values, values + 1e9) == 0
    assert 0 < overlap(values, np.zeros(100)) < 1  # one point has a density too


def test_95_percent_of_the_base_and_none_of_a_distant_cloud_is_inside() -> None:
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
