"""Scores of prompts' rows by name. They are averaged over a case's prompts, then over cases.

Corrected and published scores are in separate columns. If published panels compute a score differently from its
definition, their version is in a column whose name ends in `as published`. The other columns exclude neighbours that
are edited themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from statistics import fmean, harmonic_mean
from typing import Any

from editflow.editing.metrics.registry import METRICS
from editflow.editing.metrics.unchanged import unchanged

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A score of one prompt's row (keys as in PromptScore): `score` returns None if it is not available.

    In rows that join two states, `said_before` is the base model's `said` for the same prompt.
    """

    name: str
    score: Callable[[Row], float | None]
    about: str

    @property
    def published(self) -> bool:
        """Whether it is computed as in published panels."""
        return self.name.endswith("as published")


def _magnitude(row: Row) -> float | None:
    new, true = row["nll_new"], row["nll_true"]
    if new is None or true is None:
        return None
    difference = exp(-new) - exp(-true)
    return difference if METRICS[row["metric"]].wants_new else -difference


def _token_accuracy(row: Row) -> float | None:
    # Rows of old evaluations have no counts.
    return row["hits"] / row["tokens"] if row.get("tokens") else None


def _unchanged(row: Row) -> float | None:
    before, now = row.get("said_before"), row.get("said")
    if not before or not now or len(before) != len(now) or METRICS[row["metric"]].wants_new:
        return None
    return unchanged(before, now)


COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("success", lambda row: row["success"], "the expected answer is more likely than the other one: the mean "
               "NLL of its tokens is lower (ROME, arXiv 2202.05262, §3.3); 0 or 1 per prompt"),
        Column("accuracy", lambda row: row["accuracy"], "each token of the expected answer is the most likely one "
               "after the prompt and the tokens before it: the model gives the whole answer; 0 or 1 per prompt"),
        Column("token accuracy", _token_accuracy, "the share of the expected answer's tokens that are the most likely "
               "one (MEND, arXiv 2110.11309), with the tokenizer's own tokens; 0 to 1 per prompt"),
        Column("magnitude", _magnitude, "exp(−NLL) of the expected answer minus that of the other, with the mean NLL "
               "of their tokens (ROME, §3.3); −1 to 1 per prompt"),
        Column("unchanged", _unchanged, "for answers that must stay: the share of the answer's tokens at whose place "
               "the most likely token is the same as in the unedited model, right or wrong (EasyEdit's locality, "
               "arXiv 2308.07269); 0 to 1 per prompt, 1 before the edits"),
        Column("success as published", lambda row: row["success"], "success, with neighbours that are edited "
               "themselves counted as if they had to stay"),
        Column("token accuracy as published", lambda row: row.get("published"), "token accuracy with the answer's "
               "tokens decoded and encoded again one by one (editing/metrics/published.py); 0 to 1 per prompt"),
    )
}  # fmt: skip
SCORED = ("efficacy", "paraphrase", "neighbourhood")
"""The metrics whose success the harmonic score combines."""
_SUCCESS = dict.fromkeys(SCORED, "success")
HARMONIC = {"harmonic": _SUCCESS, "harmonic as published": _SUCCESS | {"neighbourhood": "success as published"}}
"""The harmonic means, each with the scores that it combines: {name: {metric: score}}."""


def cases(rows: Iterable[Row], column: str) -> dict[str, float]:
    """Return each case's mean over the prompts that have the score, for one metric's rows in one state."""
    chosen = COLUMNS[column]
    found: dict[str, list[float]] = {}
    for row in rows:
        value = chosen.score(row) if chosen.published or not row.get("edited") else None
        if value is not None:
            found.setdefault(row["request"], []).append(value)
    return {request: fmean(values) for request, values in found.items()}


def available(rows: Sequence[Row]) -> list[str]:
    """Return the columns available in one metric's rows; `success as published` only if it may differ from success."""
    edited = any(row.get("edited") for row in rows)
    return [
        name
        for name, column in COLUMNS.items()
        if any(column.score(row) is not None for row in rows) and (name != "success as published" or edited)
    ]


def harmonic(success: Sequence[float]) -> float:
    """The harmonic mean of efficacy, paraphrase and neighbourhood success (ROME, §3.3: score S), in their unit.

    0 if one of them is 0.
    """
    # SciPy's version is a hundred times slower, and bootstraps call this tens of thousands of times.
    return float(harmonic_mean(success))
