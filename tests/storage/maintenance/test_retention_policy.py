"""Which runs a retention rule protects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from editflow.storage.maintenance.retention_policy import RetentionRule, Run, check_hours

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def run(name: str, days: float, status: str = "completed") -> Run:
    return Run(f"{name} {days:g} {status}", name, status, NOW - timedelta(days=days))


RUNS = [run("a", 1, "failed"), run("a", 2), run("a", 3, "died"), run("a", 4), run("a", 9), run("b", 30),
        run("b", 40, "running"), run("b", 50)]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "protected"),
    [
        (RetentionRule(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (RetentionRule(runs=1), [0, 1, 5, 6]),
        (RetentionRule(runs=2), [0, 1, 2, 3, 5, 6, 7]),
        (RetentionRule(days=3.5), [0, 1, 2, 6]),
        (RetentionRule(runs=1, days=5), [0, 1, 2, 3, 5, 6]),
    ],
)
def test_which_runs_are_protected(rule: RetentionRule, protected: Sequence[int]) -> None:
    """The newest completed runs of each name, all runs after them, and running runs."""
    assert rule.protected_runs(RUNS, NOW) == {RUNS[n].id for n in protected}
    assert rule.protected_runs(RUNS[::-1], NOW) == {RUNS[n].id for n in protected}


@pytest.mark.parametrize("wrong", ["24", None, True, 0.5, 1e9, float("inf"), float("nan")])
def test_invalid_hours_are_rejected(wrong: Any) -> None:
    check_hours(1)
    check_hours(24.5)
    with pytest.raises(ValueError, match=re.escape(f"{wrong!r}")):
        check_hours(wrong)


@pytest.mark.parametrize(
    "wrong", [{"runs": "3"}, {"runs": 1.5}, {"runs": True}, {"runs": 0}, {"days": "7"}, {"days": True}, {"days": 0}]
)
def test_invalid_rules_are_rejected(wrong: dict[str, Any]) -> None:
    """A schedule can pass any JSON value."""
    with pytest.raises(ValueError, match="choose"):
        RetentionRule(**wrong)


def test_days_count_from_the_end_of_a_run() -> None:
    """Otherwise a run that took longer than the rule's days would lose protection when it ends."""
    long = Run("a", "a", "completed", NOW - timedelta(days=5), NOW - timedelta(hours=1))
    assert RetentionRule(days=2).protected_runs([long], NOW) == {"a"}
    assert RetentionRule(days=0.01).protected_runs([long], NOW) == set()
