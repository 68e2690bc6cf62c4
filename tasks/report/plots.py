"""The plots of a run, drawn once for the report and for the run's page in Prefect."""

from __future__ import annotations

from typing import NamedTuple

from editflow.tasks.report import charts, null_space_tables, results
from editflow.tasks.report.run_results import RunResults

Named = list[tuple[str, str]]
"""What a picture is of (a metric, a layer) and its SVG."""


class Pictures(NamedTuple):
    """SVG by subject; `perplexity` is empty where it was not measured."""

    score_curves: Named
    perplexity: str
    norms: str
    use: str
    heat_maps: Named
    spectra: Named
    drifts: Named


def draw(run: RunResults) -> Pictures:
    """Everything that is drawn of a run's batches and layers."""
    points, kept = results.by_batch(run), results.retention(run)
    perplexities, spectra = results.perplexity_by_batch(run), null_space_tables.spectrum_points(run)
    use = null_space_tables.null_space_use(run)
    return Pictures(
        score_curves=[
            (metric, charts.score_curve(points, metric, run.plotted_score(metric))) for metric in run.metrics
        ],
        perplexity=charts.line(perplexities, "perplexity", "held-out perplexity") if perplexities else "",
        norms=charts.line(results.norms(run), "norm", "‖Δ‖ / ‖W‖ in %", by="layer"),
        use=charts.line(use, "share", "‖P k‖² / ‖k‖² in %", by="layer") if use else "",
        heat_maps=[
            (m, charts.heat_map(kept, m, run.plotted_score(m))) for m in dict.fromkeys(row["metric"] for row in kept)
        ],
        spectra=[
            (str(layer), charts.spectrum([row for row in spectra if row["layer"] == layer]))
            for layer in sorted({row["layer"] for row in spectra})
        ],
        drifts=_drifts(run),
    )


def _drifts(run: RunResults) -> Named:
    """Of the last state, layer by layer; nothing where the spec did not ask."""
    last = [m for m in run.of_kind("drift_points") if run.number(run.parent_of(m, "edited")) == run.last]
    rows = run.lake.read(last[-1].id).to_pylist() if last else []
    layers = dict.fromkeys(row["layer"] for row in rows)
    return [(str(layer), charts.drift([row for row in rows if row["layer"] == layer])) for layer in layers]
