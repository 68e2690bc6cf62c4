"""The room that earlier edits leave: what a solver itself makes of a residual, and nothing of what nobody holds."""

from __future__ import annotations

import pytest
import torch

from benchmarks.key_interference import outweighed, room
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.projected_ridge import ProjectedRidge

D, HELD, NEW, RIDGE = 24, 9, 5, 0.7


def reached(held: torch.Tensor, key: torch.Tensor) -> float:
    """kᵀA⁻¹k, from how much of a residual of 1 at k the solver writes: s = q / (1 + q)."""
    solver = ProjectedRidge(NullSpace.whole(D), RIDGE)
    if held.shape[1]:
        solver.extend(held)
    written = float(solver.update(torch.ones(1, 1), key[:, None]).dense() @ key)
    return written / (1 - written)


@pytest.fixture
def keys() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(D, HELD, dtype=torch.float64), torch.randn(D, NEW, dtype=torch.float64)


def test_room_is_what_the_solver_still_reaches(keys: tuple[torch.Tensor, torch.Tensor]) -> None:
    held, new = keys
    found = room(held / RIDGE**0.5, new / RIDGE**0.5)
    expected = [reached(held, key) / reached(held[:, :0], key) for key in new.T]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)
    assert not torch.allclose(room(held, new), found)  # the control: without the ridge it is another figure


def test_a_key_that_stands_apart_has_all_the_room_and_one_that_is_held_has_little() -> None:
    eye = torch.eye(D, dtype=torch.float64)
    torch.testing.assert_close(room(3 * eye[:, :4], eye[:, 3:5]), torch.tensor([1 / 10, 1.0], dtype=torch.float64))
    assert room(eye[:, :0], eye[:, :2]).tolist() == [1.0, 1.0]


def test_directions_are_counted_from_either_side(keys: tuple[torch.Tensor, torch.Tensor]) -> None:
    eye = torch.eye(D, dtype=torch.float64)
    held = torch.cat([2 * eye[:, :3], 0.5 * eye[:, 5:9]], 1)
    assert outweighed(held) == 3
    assert outweighed(torch.cat([held] * 8, 1)) == 7  # 8 × 0.25 > 1, and now there are more keys than directions
