"""The scores of a run's summary as table rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class SummaryRow(TypedDict):
    """A score before and after the edits; `after` is None if it was not measured."""

    metric: str
    before: float
    after: float | None


def before_after(summary: Mapping[str, Any]) -> list[SummaryRow]:
    """One row per score."""
    before, after = summary["before"], summary["after"]
    rows: list[SummaryRow] = []
    for metric, scores in before.items():
        if metric == "texts":
            rows += [
                {"metric": name, "before": value, "after": after["texts"].get(name)} for name, value in scores.items()
            ]
        elif metric == "ability":
            rows += [
                {"metric": f"{name} accuracy %, by {way}", "before": found["accuracy"],
                 "after": after["ability"][name][way]["accuracy"]}
                for name, ways in scores.items() for way, found in ways.items()
            ]  # fmt: skip
        elif metric != "perplexity":
            rows += [
                {"metric": f"{metric} {column} %", "before": scores[column], "after": after[metric].get(column)}
                for column in final_rows(scores)
            ]
    if "perplexity" in before:
        rows.append({"metric": "held-out perplexity", "before": before["perplexity"], "after": after["perplexity"]})
    return rows


def final_rows(scores: Mapping[str, float]) -> list[str]:
    """The scores of a metric that the end of a run prints: success and accuracy. `editflow show` prints all."""
    success = next((column for column in ("success", "token accuracy") if column in scores), None)
    chosen = [success, "accuracy"] if success else list(scores)
    return [column for column in chosen if column in scores]
