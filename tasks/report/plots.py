"""The plots of a run, for its report and its page in Prefect."""

from __future__ import annotations

from typing import NamedTuple

from editflow.tasks.report import null_space_tables, report_charts, report_tables
from editflow.tasks.report.run_results import RunResults

NamedPlots = list[tuple[str, str]]
"""(name of the metric or layer, SVG)."""


class Plots(NamedTuple):
    """Plots as SVG. `perplexity` and `use` are empty if they were not measured."""

    score_curves: NamedPlots
    perplexity: str
    norms: str
    use: str
    heat_maps: NamedPlots
    spectra: NamedPlots
    drifts: NamedPlots


def draw(run: RunResults) -> Plots:
    """Draw all plots of a run's batches and layers."""
    points, retained = report_tables.by_batch(run), report_tables.retention(run)
    perplexities, spectra = report_tables.perplexity_by_batch(run), null_space_tables.spectrum_points(run)
    use = null_space_tables.null_space_use(run)
    return Plots(
        score_curves=[
            (metric, report_charts.score_curve(points, metric, run.plotted_score(metric))) for metric in run.metrics
        ],
        perplexity=report_charts.line(perplexities, "perplexity", "held-out perplexity") if perplexities else "",
        norms=report_charts.line(report_tables.norms(run), "norm", "‖Δ‖ / ‖W‖ in %", by="layer"),
        use=report_charts.line(use, "share", "‖P k‖² / ‖k‖² in %", by="layer") if use else "",
        heat_maps=[
            (metric, report_charts.heat_map(retained, metric, run.plotted_score(metric)))
            for metric in dict.fromkeys(row["metric"] for row in retained)
        ],
        spectra=[
            (str(layer), report_charts.spectrum([row for row in spectra if row["layer"] == layer]))
            for layer in sorted({row["layer"] for row in spectra})
        ],
        drifts=_drifts(run),
    )


def _drifts(run: RunResults) -> NamedPlots:
    """One plot per layer for the last state. Empty if drift was not measured."""
    last = [m for m in run.of_kind("drift_points") if run.state_number(run.parent_of(m, "edited")) == run.last]
    rows = run.lake.read(last[-1].id).to_pylist() if last else []
    layers = dict.fromkeys(row["layer"] for row in rows)
    return [(str(layer), report_charts.drift([row for row in rows if row["layer"] == layer])) for layer in layers]


def gate(rows: report_charts.Rows, name: str, unit: str, limit: float | bool) -> str:
    """The measured value of a gate for each release and its limit, if any. The colour shows whether it was applied."""
    import altair as alt

    title = f"{name} %" if unit == "%" else name  # longer units do not fit
    x = alt.X("release:Q", title="release", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y(f"{name}:Q", title=title, scale=alt.Scale(zero=False))
    statuses = alt.Scale(domain=["applied", "rejected"], range=[report_charts.COLOURS[0], report_charts.COLOURS[1]])
    dots = report_charts.plot(rows).mark_point(filled=True, size=55, opacity=1)
    points = dots.encode(x=x, y=y, color=alt.Color("status:N", scale=statuses))
    if limit is False:
        return report_charts.svg(points)
    rule = (
        report_charts.plot([{name: limit}])
        .mark_rule(strokeDash=[5, 3], strokeWidth=2, color=report_charts.COLOURS[2])
        .encode(y=y)
    )
    return report_charts.svg(alt.layer(rule, points))
