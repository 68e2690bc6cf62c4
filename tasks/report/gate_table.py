"""The plot of a gate: the measured score of each release beside the limit."""

from __future__ import annotations

from editflow.tasks.report.charts import COLOURS, Rows, plot, svg


def gate(rows: Rows, name: str, unit: str, limit: float | bool) -> str:
    """What a gate measured, release by release, beside its limit; by colour what was released and what was not."""
    import altair as alt

    title = f"{name} %" if unit == "%" else name  # the longer units would be cut off
    x = alt.X("release:Q", title="release", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y(f"{name}:Q", title=title, scale=alt.Scale(zero=False))
    kinds = alt.Scale(domain=["applied", "rejected"], range=[COLOURS[0], COLOURS[1]])
    points = (
        plot(rows)
        .mark_point(filled=True, size=55, opacity=1)
        .encode(x=x, y=y, color=alt.Color("status:N", scale=kinds))
    )
    if limit is False:
        return svg(points)
    rule = plot([{name: limit}]).mark_rule(strokeDash=[5, 3], strokeWidth=2, color=COLOURS[2]).encode(y=y)
    return svg(alt.layer(rule, points))
