"""Which runs a rule counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from editflow.storage.maintenance.retention_policy import Rule, Run, check_hours

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


@pytest.mark.parametrize("wrong", ["24", None, True, 0.5, 1e9, float("inf"), float("nan")])
def test_hours_that_are_none_are_refused(wrong: Any) -> None:
    check_hours(1)
    check_hours(24.5)
    with pytest.raises(ValueError, match=re.escape(f"{wrong!r}")):
        check_hours(wrong)


@pytest.mark.parametrize(
    "wrong", [{"runs": "3"}, {"runs": 1.5}, {"runs": True}, {"runs": 0}, {"days": "7"}, {"days": True}, {"days": 0}]
)
def test_what_is_no_rule_is_refused(wrong: dict[str, Any]) -> None:
    """A schedule gives whatever its JSON says."""
    with pytest.raises(ValueError, match="choose|keep 1"):
        Rule(**wrong)


def test_days_count_from_a_run_s_end() -> None:
    """Or what took longer than a rule's days would go as soon as it has ended."""
    long = Run("a", "a", "completed", NOW - timedelta(days=5), NOW - timedelta(hours=1))
    assert Rule(days=2).kept([long], NOW) == {"a"}
    assert Rule(days=0.01).kept([long], NOW) == set()
