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
from editflow.tasks.report import null_space_tables, report_charts, report_tables, stage_timings
from editflow.tasks.report.plots import draw
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import Answers, Example

if TYPE_CHECKING:
    from jinja2 import Template

MAX_CHARACTERS = 300
"""Longer texts are cut, and the page shows their length."""
WORST_COUNT = 12


def render(run_results: RunResults, answers: Iterable[Answers]) -> str:
    """The page of a completed run."""
    nodes, stages = stage_timings.nodes(run_results), stage_timings.stages(run_results)
    return template("editflow.tasks.report", "report.html").render(
        **page_assets(),
        **draw(run_results)._asdict(),
        run=run_results.record,
        about=about(run_results),
        before_after=report_tables.before_after(run_results),
        unavailable=report_tables.unavailable(run_results),
        points=report_tables.by_batch(run_results),
        perplexities=report_tables.perplexity_by_batch(run_results),
        layers=null_space_tables.layers(run_results),
        examples=[example(run_results, row) for row in answers],
        worst=report_tables.worst(run_results, WORST_COUNT),
        evaluated=run_results.metrics,
        durations=report_charts.durations(stages),
        stages=stages,
        nodes=nodes,
        graph=report_charts.graph(nodes, ("created", "reused")),
        parentless="nothing",
        childless="nothing in this run",
        toml="\n".join(map(safe, toml(run_results.record.spec).split("\n"))),
    )


def page_assets() -> dict[str, str]:
    """The script and style of a page, and the script's SHA-256 digest: the page's policy allows only this script."""
    script, style = (
        files("editflow.tasks.report").joinpath(name).read_text(encoding="utf-8")
        for name in ("report.js", "report.css")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"script": script, "style": style, "digest": digest}


def template(package: str, name: str) -> Template:
    """A package's template, which may include the report's. Texts are escaped; an undefined name is an error."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader("editflow.tasks.report", "")]), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"shown": shown, "number": number, "interval": interval}
    return environment.get_template(name)


@dataclass(frozen=True)
class About:
    """A summary of a run. `minutes` is its duration, `environment` describes the machine."""

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
    """The summary of a run."""
    record, spec = run_results.record, run_results.record.spec
    started, finished = (datetime.fromisoformat(time) for time in (record.started_at, record.finished_at or ""))
    first, *rest = spec["edit"]["layers"]
    consecutive = rest == list(range(first + 1, first + 1 + len(rest)))
    return About(
        facts=len(run_results.requests),
        batches=run_results.last,
        method=spec["edit"]["method"],
        model=PurePath(spec["model"]["source"]).name,
        layers=f"{first} to {rest[-1]}" if rest and consecutive else ", ".join(map(str, [first, *rest])),
        day=f"{started:%Y-%m-%d}",
        minutes=(finished - started).total_seconds() / 60,
        created=sum(use.how == "created" for use in record.uses),
        reused=sum(use.how == "reused" for use in record.uses),
        environment=record.environment,
    )  # fmt: skip


def example(run_results: RunResults, row: Answers) -> Example:
    """Both models' answers to a prompt, word by word, with the words that they have in common."""
    base, edited = row["base"].split(), row["edited"].split()
    blocks = SequenceMatcher(a=base, b=edited, autojunk=False).get_matching_blocks()
    in_edited = {n for block in blocks for n in range(block.a, block.a + block.size)}
    in_base = {n for block in blocks for n in range(block.b, block.b + block.size)}
    return {
        "request": run_results.requests[row["request"]],
        "prompt": row["prompt"],
        "base": [(word, n in in_edited) for n, word in enumerate(base)],
        "edited": [(word, n in in_base) for n, word in enumerate(edited)],
    }


def shown(text: object, limit: int = MAX_CHARACTERS) -> str:
    """A printable text: control characters and invisible or reordering characters are escaped, long texts are cut."""
    whole = str(text)
    return safe(whole) if len(whole) <= limit else f"{safe(whole[:limit])}… ({len(whole):,} characters)"


def number(value: float | None, digits: int = 4) -> str:
    """A number with this many significant digits."""
    return "–" if value is None else f"{value:.{digits}g}"


def interval(score: Interval, signed: bool = False) -> str:
    """A score with the bounds of its interval, if it has one."""
    form = "+.4g" if signed else ".4g"
    if score.low is None or score.high is None:
        return f"{score.value:{form}}"
    return f"{score.value:{form}} ({score.low:{form}} to {score.high:{form}})"


def toml(spec: Mapping[str, Any]) -> str:
    """The run's spec as TOML text for `editflow run`."""
    import tomli_w

    return tomli_w.dumps(_without_nulls(spec))


def _without_nulls(value: Any) -> Any:
    """The value without nulls at any depth: TOML has no null."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value if item is not None]
    return value
