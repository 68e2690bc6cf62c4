"""Retention policy: which runs protect their artifacts, and the minimum age of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

CENTURY = 36_525
"""Days: no lake is older, and dates have a beginning."""


@dataclass(frozen=True)
class Rule:
    """Which runs count: of each name the newest ``runs`` completed ones and what came after, and all that ended, or of
    which no end is known began, within so many days.

    With neither, all do. A running run always counts. Raises ValueError for what keeps nothing or is no time.
    """

    runs: int | None = None
    days: float | None = None

    def __post_init__(self) -> None:
        if self.runs is not None and not (_is_number(self.runs, int) and self.runs >= 1):
            raise ValueError(f"{self.runs!r} runs of each name cannot be kept: keep 1 or more")
        if self.days is not None and not (_is_number(self.days, int, float) and 0 < self.days <= CENTURY):
            raise ValueError(f"{self.days!r} days are no time: choose more than 0 and at most {CENTURY}")

    def __bool__(self) -> bool:
        return self.runs is not None or self.days is not None

    def kept(self, runs: Iterable[Run], now: datetime) -> set[str]:
        """The ids of the runs that count."""
        named: dict[str, list[Run]] = {}
        for run in sorted(runs, key=lambda run: (run.started, run.id), reverse=True):
            named.setdefault(run.name, []).append(run)
        return {run.id for held in named.values() for run in self._of_one_name(held, now)}

    def _of_one_name(self, runs: Sequence[Run], now: datetime) -> Iterator[Run]:
        """``runs`` are the newest first."""
        completed = 0
        for run in runs:
            counts = not self or run.status == "running"
            counts |= self.runs is not None and completed < self.runs
            counts |= self.days is not None and (run.ended or run.started) >= now - timedelta(days=self.days)
            if counts:
                yield run
            completed += run.status == "completed"


@dataclass(frozen=True)
class Run:
    """What a rule looks at; times are in UTC."""

    id: str
    name: str
    status: str
    started: datetime
    ended: datetime | None = None


def check_hours(hours: float) -> None:
    """Raise ValueError for fewer hours than one, when young files may be a writer's, and for a value that is not a
    time."""
    if not (_is_number(hours, int, float) and 1 <= hours <= 24 * CENTURY):
        why = "what is younger than an hour may be a writer's"
        raise ValueError(f"hours = {hours!r}: {why}: choose 1 or more, at most {24 * CENTURY}")


def _is_number(value: object, *kinds: type) -> bool:
    """A schedule passes any JSON value."""
    return isinstance(value, kinds) and not isinstance(value, bool)
