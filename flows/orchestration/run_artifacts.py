"""Tables and curves of a run on its page in Prefect, besides the report in the lake."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from editflow.flows.pipeline.gates import MAXIMUMS, MINIMUMS, decision_rows
from editflow.flows.spec.sections import GatesSection
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord
from editflow.tasks.releases.queue import ReleaseEvent
from editflow.tasks.report import report_tables, stage_timings
from editflow.tasks.report.plots import draw, gate
from editflow.tasks.report.report_page import WORST_COUNT, interval, shown
from editflow.tasks.report.run_results import RunResults

PrefectRow = dict[str, object]
"""A row of a table artifact; Prefect takes dicts."""
MIDDLE = "#808890"
"""A colour that is legible on Prefect's light and dark pages, since an image cannot inherit the page's colour."""


def publish(lake: Lake, record: RunRecord) -> None:
    """Write four tables and a page of plots. The keys contain the run's name, so Prefect keeps the history of each."""
    run = RunResults.load(lake, record.run_id)
    about = f"{record.name}, run {record.run_id}: `editflow report {record.run_id}` has everything"
    tables = {
        "before-after": _before_after(run),
        "batches": _batches(run),
        "stages": [dict(row) for row in stage_timings.stages(run)],
        "worst-facts": _worst(run),
    }
    for name, table in tables.items():
        create_table_artifact(table, key=f"{record.name}-{name}", description=about)
    create_markdown_artifact(_curves(run), key=f"{record.name}-curves", description=about)


def publish_releases(record: RunRecord, gates: GatesSection, moves: Sequence[tuple[int, ReleaseEvent]]) -> None:
    """Write the table of all decisions so far, and for each gate a plot of the measured values and the limit."""
    rows = decision_rows(moves)
    about = f"{record.name}: as of run {record.run_id}; `editflow releases` lists the same"
    columns = dict.fromkeys([*dict.fromkeys(name for row in rows for name in row if name != "reason"), "reason"], "")
    create_table_artifact([{**columns, **row} for row in rows], key=f"{record.name}-releases", description=about)
    pictures = [
        (f"{name}, a point for each decision", gate(measured, name, unit, getattr(gates, name)))
        for name, unit in {**MINIMUMS, **MAXIMUMS}.items()
        if (measured := [row for row in rows if name in row])
    ]
    if pictures:
        create_markdown_artifact(_markdown(pictures), key=f"{record.name}-gates", description=about)


def _before_after(run: RunResults) -> list[PrefectRow]:
    return [
        {
            "metric": f"{row['metric']} {row['unit']}".strip(),
            "before": interval(row["before"]),
            "after": interval(row["after"]),
            "change": f"{interval(row['change'], signed=True)} {row.get('change_unit', '')}".strip(),
        }
        for row in report_tables.before_after(run)
    ]


def _batches(run: RunResults) -> list[PrefectRow]:
    return [dict(row) | {"percent": round(row["percent"], 2)} for row in report_tables.by_batch(run)]


def _worst(run: RunResults) -> list[PrefectRow]:
    return [
        {key: shown("; ".join(value) if isinstance(value, list) else value) for key, value in row.items()}
        for row in report_tables.worst(run, WORST_COUNT)
    ]


def _curves(run: RunResults) -> str:
    drawn = draw(run)
    pictures = [(f"{metric} after each batch", svg) for metric, svg in drawn.score_curves]
    pictures += [("held-out perplexity", drawn.perplexity)] if drawn.perplexity else []
    pictures.append(("change of each layer's weight by batch", drawn.norms))
    pictures += [("share of the keys' energy in the null space", drawn.use)] if drawn.use else []
    pictures += [(f"{metric} of each batch's facts in later states", svg) for metric, svg in drawn.heat_maps]
    pictures += [(f"spectrum of layer {layer}", svg) for layer, svg in drawn.spectra]
    pictures += [(f"hidden states of layer {layer}, base and edited", svg) for layer, svg in drawn.drifts]
    return _markdown(pictures)


def _markdown(pictures: Sequence[tuple[str, str]]) -> str:
    parts = []
    for title, svg in pictures:
        data = base64.b64encode(svg.replace("currentColor", MIDDLE).encode()).decode()
        parts.append(f"### {title}\n\n![{title}](data:image/svg+xml;base64,{data})")
    return "\n\n".join(parts)
