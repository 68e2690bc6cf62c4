"""The plots of a run, drawn once for the report and for the run's page in Prefect."""

from __future__ import annotations

from typing import NamedTuple

from editflow.tasks.report import charts, null_space_tables, report_tables
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
    points, kept = report_tables.by_batch(run), report_tables.retention(run)
    perplexities, spectra = report_tables.perplexity_by_batch(run), null_space_tables.spectrum_points(run)
    use = null_space_tables.null_space_use(run)
    return Pictures(
        score_curves=[
            (metric, charts.score_curve(points, metric, run.plotted_score(metric))) for metric in run.metrics
        ],
        perplexity=charts.line(perplexities, "perplexity", "held-out perplexity") if perplexities else "",
        norms=charts.line(report_tables.norms(run), "norm", "‖Δ‖ / ‖W‖ in %", by="layer"),
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


def gate(rows: charts.Rows, name: str, unit: str, limit: float | bool) -> str:
    """What a gate measured, release by release, beside its limit; by colour what was released and what was not."""
    import altair as alt

    title = f"{name} %" if unit == "%" else name  # the longer units would be cut off
    x = alt.X("release:Q", title="release", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y(f"{name}:Q", title=title, scale=alt.Scale(zero=False))
    kinds = alt.Scale(domain=["applied", "rejected"], range=[charts.COLOURS[0], charts.COLOURS[1]])
    points = (
        charts.plot(rows)
        .mark_point(filled=True, size=55, opacity=1)
        .encode(x=x, y=y, color=alt.Color("status:N", scale=kinds))
    )
    if limit is False:
        return charts.svg(points)
    rule = charts.plot([{name: limit}]).mark_rule(strokeDash=[5, 3], strokeWidth=2, color=charts.COLOURS[2]).encode(y=y)
    return charts.svg(alt.layer(rule, points))
