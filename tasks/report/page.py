"""The report as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from editflow.editing.metrics.intervals import Interval
from editflow.tasks.console.terminal import safe
from editflow.tasks.report import charts, null_space_tables, report_tables, stage_timings
from editflow.tasks.report.plots import draw
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import Answers, Example

if TYPE_CHECKING:
    from jinja2 import Template

LONGEST = 300
"""Characters of a text that are shown; of longer ones the page tells how long they are."""
WORST = 12


def render(run_results: RunResults, answers: Iterable[Answers]) -> str:
    """The page of a completed run. `answers` are rows of the kind of that name."""
    return template("editflow.tasks.report", "report.html").render(
        **fill_template(), run=run_results.record, **content(run_results, answers)
    )


def fill_template() -> dict[str, str]:
    """Script and style of a page, and the script's digest: only this script may run in it, for any texts."""
    script = files("editflow.tasks.report").joinpath("report.js").read_text(encoding="utf-8")
    style = files("editflow.tasks.report").joinpath("report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"script": script, "style": style, "digest": digest}


def template(package: str, name: str) -> Template:
    """A page's template in a package, which may include those of the report: every text is escaped, and a name that is
    not given is an error."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    world = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader("editflow.tasks.report", "")]), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    world.filters |= {"shown": shown, "number": number, "interval": interval}
    return world.get_template(name)


def content(run_results: RunResults, answers: Iterable[Answers]) -> dict[str, Any]:
    """Everything that the template shows."""
    nodes, stages = stage_timings.nodes(run_results), stage_timings.stages(run_results)
    return {
        "about": about(run_results),
        "before_after": report_tables.before_after(run_results),
        "unavailable": report_tables.unavailable(run_results),
        **draw(run_results)._asdict(),
        "points": report_tables.by_batch(run_results),
        "perplexities": report_tables.perplexity_by_batch(run_results),
        "layers": null_space_tables.layers(run_results),
        "examples": [example(run_results, row) for row in answers],
        "worst": report_tables.worst(run_results, WORST),
        "asked": run_results.metrics,
        "durations": charts.durations(stages),
        "stages": stages,
        "nodes": nodes,
        "graph": charts.graph(nodes, ("created", "reused")),
        "parentless": "nothing",
        "childless": "nothing in this run",
        "toml": "\n".join(map(safe, toml(run_results.record.spec).split("\n"))),
    }


@dataclass(frozen=True)
class About:
    """A run in a few words and numbers."""

    facts: int
    batches: int
    method: str
    model: str
    layers: str
    day: str
    minutes: float
    created: int
    reused: int
    environment: Mapping[str, object]


def about(run_results: RunResults) -> About:
    """The run in a few words and numbers."""
    record, spec = run_results.record, run_results.record.spec
    started, finished = (datetime.fromisoformat(time) for time in (record.started_at, record.finished_at or ""))
    first, *rest = spec["edit"]["layers"]
    adjoining = rest == list(range(first + 1, first + 1 + len(rest)))
    return About(
        facts=len(run_results.requests),
        batches=run_results.last,
        method=spec["edit"]["method"],
        model=PurePath(spec["model"]["source"]).name,
        layers=f"{first} to {rest[-1]}" if rest and adjoining else ", ".join(map(str, [first, *rest])),
        day=f"{started:%Y-%m-%d}",
        minutes=(finished - started).total_seconds() / 60,
        created=sum(use.how == "created" for use in record.uses),
        reused=sum(use.how == "reused" for use in record.uses),
        environment=record.environment,
    )  # fmt: skip


def example(run_results: RunResults, row: Answers) -> Example:
    """A fact with what both models say of it, word by word, and whether the word is the other's too."""
    base, edited = row["base"].split(), row["edited"].split()
    blocks = SequenceMatcher(a=base, b=edited, autojunk=False).get_matching_blocks()
    same = (
        {n for b in blocks for n in range(b.a, b.a + b.size)},
        {n for b in blocks for n in range(b.b, b.b + b.size)},
    )
    return {
        "request": run_results.requests[row["request"]],
        "prompt": row["prompt"],
        "base": [(word, n in same[0]) for n, word in enumerate(base)],
        "edited": [(word, n in same[1]) for n, word in enumerate(edited)],
    }


def shown(text: object, longest: int = LONGEST) -> str:
    """A text without effects: characters that control, reorder or hide are written out."""
    whole = str(text)
    return safe(whole) if len(whole) <= longest else f"{safe(whole[:longest])}… ({len(whole):,} characters)"


def number(value: float | None, digits: int = 4) -> str:
    """A number with the significant digits."""
    return "–" if value is None else f"{value:.{digits}g}"


def interval(found: Interval, digits: int = 4, signed: bool = False) -> str:
    """A score with its bounds."""
    form = ("+" if signed else "") + f".{digits}g"
    if found.low is None or found.high is None:
        return f"{found.value:{form}}"
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"


def toml(spec: Mapping[str, Any]) -> str:
    """The run's spec as a file that `editflow run` takes."""
    import tomli_w

    return tomli_w.dumps(_given(spec))


def _given(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without nulls at any depth: TOML has no null."""
    return {key: _written(value) for key, value in spec.items() if value is not None}


def _written(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _given(value)
    return [_written(one) for one in value if one is not None] if isinstance(value, list | tuple) else value
