"""Drift: scores of clouds with known drift, and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, stats

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.metrics import drift as measures
from editflow.editing.metrics.drift import (
    DISTANCES,
    drift,
    frechet_distance,
    hausdorff_distance,
    mean_shift,
    paired_distance,
)
from editflow.editing.metrics.principal_plane import Floats

SHAPES = [(200, 6), (20, 50), (50, 50), (3, 40)]
"""More prompts than dimensions, fewer, as many, and the minimum."""
TIGHT = {"rel": 1e-9, "abs": 1e-12}


def cloud(n: int = 200, d: int = 6, seed: int = 0) -> Floats:
    """Normal states with a different spread in each direction, away from the origin."""
    random = np.random.default_rng(seed)
    return random.standard_normal((n, d)) * np.linspace(3, 0.5, d) + random.standard_normal(d) * 5


def turned(d: int, seed: int = 5) -> Floats:
    """A random rotation (d, d)."""
    return np.asarray(stats.special_ortho_group.rvs(d, random_state=seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_identical_states_have_no_drift(shape: tuple[int, int]) -> None:
    base = cloud(*shape)
    found = drift(base, base.copy())
    for name in DISTANCES:
        assert found[name] == pytest.approx(0, abs=1e-9), name
    assert found["overlap_x"] == pytest.approx(1, abs=1e-12)
    assert found["overlap_y"] == pytest.approx(1, abs=1e-12)
    assert found["share_inside"] == found["base_share_inside"] > 0.5
    assert drift(base, cloud(*shape, seed=1))["paired_distance"] > 1  # control


@pytest.mark.parametrize("shape", SHAPES)
def test_a_translation_is_measured_by_its_length(shape: tuple[int, int]) -> None:
    base, step = cloud(*shape), np.random.default_rng(3).standard_normal(shape[1])
    found = drift(base, base + step)
    length = float(np.linalg.norm(step))
    assert found["mean_shift"] == pytest.approx(length, **TIGHT)
    assert found["paired_distance"] == pytest.approx(length, **TIGHT)
    assert found["frechet_distance"] == pytest.approx(length, **TIGHT)
    assert found["relative_mean_shift"] == pytest.approx(length / found["spread"], **TIGHT)
    assert 0 < found["hausdorff_distance"] <= length * (1 + 1e-12)


def test_by_hand() -> None:
    """A square of side 2, one of whose corners moves by 3 along x."""
    base = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    edited = base + np.array([[0, 0], [3, 0], [0, 0], [0, 0]])
    assert mean_shift(base, edited) == pytest.approx(0.75)
    assert paired_distance(base, edited) == pytest.approx(0.75)
    assert measures.spread(base) == pytest.approx(np.sqrt(2))
    assert measures.relative_mean_shift(base, edited) == pytest.approx(0.75 / np.sqrt(2))
    assert hausdorff_distance(base, edited) == pytest.approx(3)  # from (5, 0) to (2, 0)
    assert hausdorff_distance(edited, base) == pytest.approx(3)
    assert hausdorff_distance(base, edited[[0, 2, 3]]) == pytest.approx(2)  # the lost corner; one way alone it is 0


def test_opposite_shifts_do_not_move_the_mean() -> None:
    base = cloud()
    steps = np.where(np.arange(len(base)) % 2, 1.0, -1.0)[:, None] * np.eye(6)[0]
    assert mean_shift(base, base + steps) == pytest.approx(0, abs=1e-12)
    assert paired_distance(base, base + steps) == pytest.approx(1)


def test_the_frechet_distance_of_two_normal_clouds_in_closed_form() -> None:
    """With covariances diag(a²) and diag(b²) exactly, d² = ‖t‖² + Σ (aᵢ − bᵢ)²."""
    n, a, b, t = 60, np.array([3.0, 2.0, 0.5]), np.array([1.0, 2.5, 0.5]), np.array([0.3, -0.4, 1.2])
    white, other = (exactly_white(n, 3, seed) for seed in (1, 2))
    wanted = np.sqrt(t @ t + ((a - b) ** 2).sum())
    assert frechet_distance(white * a, other * b + t) == pytest.approx(wanted, **TIGHT)
    assert frechet_distance(white * a, other * a) == pytest.approx(0, abs=1e-9)  # other states, the same normal
    assert paired_distance(white * a, other * a) > 1


def exactly_white(n: int, d: int, seed: int) -> Floats:
    """States of mean 0 and covariance I, up to rounding."""
    drawn = np.random.default_rng(seed).standard_normal((n, d))
    q, _ = np.linalg.qr(drawn - drawn.mean(0))
    return np.asarray(q * np.sqrt(n - 1))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_frechet_distance_equals_the_literal_formula(shape: tuple[int, int]) -> None:
    base, edited = cloud(*shape), cloud(*shape, seed=1)
    first, second = (np.cov(states.T) for states in (base, edited))
    root = psd_root(psd_root(first) @ second @ psd_root(first))
    literal = np.trace(first + second - 2 * root) + mean_shift(base, edited) ** 2
    assert frechet_distance(base, edited) ** 2 == pytest.approx(literal, rel=1e-6)
    assert frechet_distance(base, edited) == pytest.approx(frechet_distance(edited, base), **TIGHT)


def psd_root(matrix: Floats) -> Floats:
    """The root of a symmetric positive semidefinite matrix."""
    values, vectors = linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_bound_each_other(shape: tuple[int, int]) -> None:
    base = cloud(*shape)
    edited = base + cloud(*shape, seed=1) * 0.3
    found = drift(base, edited)
    assert found["mean_shift"] <= found["paired_distance"]
    assert found["mean_shift"] <= found["frechet_distance"]
    assert found["hausdorff_distance"] <= np.linalg.norm(edited - base, axis=1).max() * (1 + 1e-12)
    # Pairing the states is one way to carry the one normal into the other, and none is cheaper than the distance.
    steps = edited - base
    carried = mean_shift(base, edited) ** 2 + np.var(steps, axis=0, ddof=1).sum()
    assert found["frechet_distance"] ** 2 <= carried * (1 + 1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_order_of_the_prompts_changes_nothing(shape: tuple[int, int]) -> None:
    base, edited = cloud(*shape), cloud(*shape) + cloud(*shape, seed=1) * 0.2
    order = np.random.default_rng(8).permutation(len(base))
    assert drift(base[order], edited[order]) == pytest.approx(drift(base, edited), rel=1e-7, abs=1e-9)
    shuffled = drift(base, edited[order])  # control: the pairs alone are broken
    assert shuffled["paired_distance"] > 1.2 * drift(base, edited)["paired_distance"]
    assert shuffled["frechet_distance"] == pytest.approx(drift(base, edited)["frechet_distance"], rel=1e-7)


def test_a_rotation_of_both_changes_no_distance() -> None:
    base = cloud()
    edited = base + cloud(seed=1) * 0.2
    R = turned(6)
    plain, rotated = drift(base, edited), drift(base @ R, edited @ R)
    for name in (*DISTANCES, "spread"):
        assert rotated[name] == pytest.approx(plain[name], rel=1e-8), name
    assert drift(base, edited @ R)["mean_shift"] > 2 * mean_shift(base, edited)  # control: of one alone


def test_stretching_coordinates_of_both_changes_nothing_in_the_plane() -> None:
    base = cloud()
    edited = base + cloud(seed=1) * 0.2
    by = np.array([1, 500, 0.2, 1, 3, 1])
    plain, stretched = drift(base, edited), drift(base * by, edited * by)
    for name in ("overlap_x", "overlap_y", "share_inside", "base_share_inside", "plane_share"):
        assert stretched[name] == pytest.approx(plain[name], rel=1e-8), name
    assert stretched["mean_shift"] > 2 * plain["mean_shift"]  # control: distances see it


def test_scaling_both_scales_distances_alone() -> None:
    base, edited = cloud(), cloud() + cloud(seed=1) * 0.2
    one, ten = drift(base, edited), drift(10 * base, 10 * edited)
    for name in ("mean_shift", "paired_distance", "frechet_distance", "hausdorff_distance", "spread"):
        assert ten[name] == pytest.approx(10 * one[name], rel=1e-9)
    for name in ("relative_mean_shift", "overlap_x", "overlap_y", "share_inside", "base_share_inside", "plane_share"):
        assert ten[name] == pytest.approx(one[name], rel=1e-9)


def test_a_distant_cloud_has_no_overlap_and_is_outside() -> None:
    base = cloud()
    found = drift(base, base + 1e6)
    assert found["overlap_x"] == found["overlap_y"] == found["share_inside"] == 0
    assert found["base_share_inside"] > 0.9


def test_refusals() -> None:
    base = cloud(5)
    with pytest.raises(InvalidOption, match=r"\(5, 6\) and \(4, 6\) differ in shape"):
        drift(base, base[:4])
    with pytest.raises(InvalidOption, match="2 prompts are too few"):
        drift(base[:2], base[:2])
    with pytest.raises(InvalidOption, match="span no plane"):
        drift(np.outer(np.arange(5.0), np.ones(6)), base)
    with pytest.raises(InvalidOption, match="span no plane"):
        drift(np.ones((5, 6)), base)
    broken = base.copy()
    broken[3, 2] = np.inf
    with pytest.raises(NonFinite):
        drift(base, broken)
