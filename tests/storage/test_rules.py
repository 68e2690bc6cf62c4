"""Which runs a rule counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from storage.retention import Rule, Run

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def ran(name: str, days: float, status: str = "completed") -> Run:
    return Run(f"{name} {days:g} {status}", name, status, NOW - timedelta(days=days))


RUNS = [ran("a", 1, "failed"), ran("a", 2), ran("a", 3, "died"), ran("a", 4), ran("a", 9), ran("b", 30),
        ran("b", 40, "running"), ran("b", 50)]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (Rule(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (Rule(runs=1), [0, 1, 5, 6]),
        (Rule(runs=2), [0, 1, 2, 3, 5, 6, 7]),
        (Rule(days=3.5), [0, 1, 2, 6]),
        (Rule(runs=1, days=5), [0, 1, 2, 3, 5, 6]),
    ],
)
def test_which_runs_count(rule: Rule, kept: Sequence[int]) -> None:
    """The newest completed ones of each name, and what came after them; a run that goes on always."""
    assert rule.kept(RUNS, NOW) == {RUNS[n].id for n in kept}
    assert rule.kept(RUNS[::-1], NOW) == {RUNS[n].id for n in kept}
