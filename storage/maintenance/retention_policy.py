"""Retention policy: which runs protect their artifacts, and the minimum age of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_DAYS = 36_525
"""The longest accepted time: a century, so that dates do not underflow."""


@dataclass(frozen=True)
class RetentionRule:
    """Which runs protect the artifacts that they used.

    ``runs`` protects, for each name, the newest ``runs`` completed runs and every run after them. ``days`` protects
    runs that ended within so many days (without a recorded end: that started). With neither, all runs are protected. A
    running run always is. Raises ValueError if ``runs`` is less than 1 or ``days`` is not a valid time.
    """

    runs: int | None = None
    days: float | None = None

    def __post_init__(self) -> None:
        if self.runs is not None and not (_is_number(self.runs, int) and self.runs >= 1):
            raise ValueError(f"cannot keep {self.runs!r} runs of each name: choose 1 or more")
        if self.days is not None and not (_is_number(self.days, int, float) and 0 < self.days <= MAX_DAYS):
            raise ValueError(f"{self.days!r} days is not a valid time: choose more than 0 and at most {MAX_DAYS}")

    def __bool__(self) -> bool:
        return self.runs is not None or self.days is not None

    def protected_runs(self, runs: Iterable[Run], now: datetime) -> set[str]:
        """The ids of the protected runs."""
        by_name: dict[str, list[Run]] = {}
        for run in sorted(runs, key=lambda run: (run.started, run.id), reverse=True):
            by_name.setdefault(run.name, []).append(run)
        return {run.id for same_name in by_name.values() for run in self._protected_of_name(same_name, now)}

    def _protected_of_name(self, runs: Sequence[Run], now: datetime) -> Iterator[Run]:
        """``runs`` have the same name and are sorted from new to old."""
        completed = 0
        for run in runs:
            protected = not self or run.status == "running"
            protected |= self.runs is not None and completed < self.runs
            protected |= self.days is not None and (run.ended or run.started) >= now - timedelta(days=self.days)
            if protected:
                yield run
            completed += run.status == "completed"


@dataclass(frozen=True)
class Run:
    """The fields of a run that a rule depends on; times are in UTC."""

    id: str
    name: str
    status: str
    started: datetime
    ended: datetime | None = None


def check_hours(hours: float) -> None:
    """Raise ValueError if ``hours`` is not a number or is less than one: younger files may belong to a writer."""
    if not (_is_number(hours, int, float) and 1 <= hours <= 24 * MAX_DAYS):
        why = "a writer may be using files younger than an hour"
        raise ValueError(f"hours = {hours!r}: {why}; choose 1 or more, at most {24 * MAX_DAYS}")


def _is_number(value: object, *kinds: type) -> bool:
    """Whether a value, which a schedule may set to any JSON value, is a number; a bool is not."""
    return isinstance(value, kinds) and not isinstance(value, bool)
