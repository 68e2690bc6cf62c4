"""The plots of a run, drawn once for the report and for the run's page in Prefect."""

from __future__ import annotations

from typing import NamedTuple

from editflow.tasks.report import charts, null_space_tables, results
from editflow.tasks.report.run_results import RunResults

Named = list[tuple[str, str]]
"""What a picture is of (a metric, a layer) and its SVG."""


class Pictures(NamedTuple):
    """SVG by subject; `perplexity` is empty where it was not measured."""

    courses: Named
    perplexity: str
    norms: str
    use: str
    heat_maps: Named
    spectra: Named
    drifts: Named


def draw(course: RunResults) -> Pictures:
    """Everything that is drawn of a run's batches and layers."""
    points, kept = results.by_batch(course), results.retention(course)
    perplexities, spectra = results.perplexity_by_batch(course), null_space_tables.spectrum_points(course)
    use = null_space_tables.null_space_use(course)
    return Pictures(
        courses=[(metric, charts.course(points, metric, course.figure(metric))) for metric in course.metrics],
        perplexity=charts.line(perplexities, "perplexity", "held-out perplexity") if perplexities else "",
        norms=charts.line(results.norms(course), "norm", "‖Δ‖ / ‖W‖ in %", by="layer"),
        use=charts.line(use, "share", "‖P k‖² / ‖k‖² in %", by="layer") if use else "",
        heat_maps=[
            (m, charts.heat_map(kept, m, course.figure(m))) for m in dict.fromkeys(row["metric"] for row in kept)
        ],
        spectra=[
            (str(layer), charts.spectrum([row for row in spectra if row["layer"] == layer]))
            for layer in sorted({row["layer"] for row in spectra})
        ],
        drifts=_drifts(course),
    )


def _drifts(course: RunResults) -> Named:
    """Of the last state, layer by layer; nothing where the spec did not ask."""
    last = [m for m in course.of_kind("drift_points") if course.number(course.made(m, "edited")) == course.last]
    rows = course.lake.read(last[-1].id).to_pylist() if last else []
    layers = dict.fromkeys(row["layer"] for row in rows)
    return [(str(layer), charts.drift([row for row in rows if row["layer"] == layer])) for layer in layers]
