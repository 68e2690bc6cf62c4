"""The free share of a key equals the share of a residual that a solver with held keys can still write."""

from __future__ import annotations

import pytest
import torch

from benchmarks.key_interference import count_outweighed, free_share
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.projected_ridge import ProjectedRidge

D, HELD, NEW, RIDGE = 24, 9, 5, 0.7


def solver_reach(held: torch.Tensor, key: torch.Tensor) -> float:
    """q = kᵀA⁻¹k, derived from the share s = q / (1 + q) of a residual of 1 at k that the solver writes."""
    solver = ProjectedRidge(NullSpace.whole(D), RIDGE)
    if held.shape[1]:
        solver.extend(held)
    written = float(solver.update(torch.ones(1, 1), key[:, None]).dense() @ key)
    return written / (1 - written)


@pytest.fixture
def keys() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(D, HELD, dtype=torch.float64), torch.randn(D, NEW, dtype=torch.float64)


def test_free_share_matches_the_solver(keys: tuple[torch.Tensor, torch.Tensor]) -> None:
    held, new = keys
    found = free_share(held / RIDGE**0.5, new / RIDGE**0.5)
    expected = [solver_reach(held, key) / solver_reach(held[:, :0], key) for key in new.T]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)
    assert not torch.allclose(free_share(held, new), found)  # control: unwhitened keys give another value


def test_an_orthogonal_key_is_free_and_a_held_key_is_not() -> None:
    eye = torch.eye(D, dtype=torch.float64)
    torch.testing.assert_close(
        free_share(3 * eye[:, :4], eye[:, 3:5]), torch.tensor([1 / 10, 1.0], dtype=torch.float64)
    )
    assert free_share(eye[:, :0], eye[:, :2]).tolist() == [1.0, 1.0]


def test_outweighed_directions_with_few_and_with_many_keys(keys: tuple[torch.Tensor, torch.Tensor]) -> None:
    eye = torch.eye(D, dtype=torch.float64)
    held = torch.cat([2 * eye[:, :3], 0.5 * eye[:, 5:9]], 1)
    assert count_outweighed(held) == 3
    assert count_outweighed(torch.cat([held] * 8, 1)) == 7  # 8 × 0.25 > 1, and more keys than directions
