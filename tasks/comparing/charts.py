"""The comparison's own pictures, one line a row in the same colour, dashes and shape everywhere; no scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.comparing.styles import Style
from tasks.report.charts import svg

if TYPE_CHECKING:
    import altair as alt

Rows = Sequence[Mapping[str, Any]]
Styles = Mapping[str, Style]
WIDTH, HEIGHT = 300, 210
MOST_MARKS = 40
"""Points of a line up to which each has its mark."""
SPREAD = 100
"""An axis is logarithmic where the largest value is more than so many times the least."""
KEY_STEP = 22


def lines(rows: Rows, value: str, title: str, styles: Styles, *, percent: bool = False) -> str:
    """A figure against the number of edits, a line for each label. With `percent` from 0 to 100.

    Where values differ by orders of magnitude, as perplexities of a model that fell apart, the axis is logarithmic.
    """
    import altair as alt

    x = alt.X("edits:Q", title="edits", axis=alt.Axis(tickMinStep=1, format="d", tickCount=6))
    y = alt.Y(f"{value}:Q", title=title, scale=_scale([float(row[value]) for row in rows], percent=percent))
    chart = _chart(rows, WIDTH, HEIGHT)
    layers = [chart.mark_line(strokeWidth=2).encode(x=x, y=y, color=_colour(styles), strokeDash=_dash(styles))]
    if len({row["edits"] for row in rows}) <= MOST_MARKS:
        marks = chart.mark_point(size=42, filled=True, opacity=0.9)
        layers.append(marks.encode(x=x, y=y, color=_colour(styles), shape=_shape(styles)))
    return svg(alt.layer(*layers).resolve_scale(color="shared"))


def key(styles: Styles) -> str:
    """Which line is which: a picture of its own, so that no legend crowds out the curves."""
    import altair as alt

    ends = [{"label": label, "x": x} for label in styles for x in (0, 1)]
    order = list(styles)
    y = alt.Y(
        "label:N", sort=order, title=None,
        axis=alt.Axis(orient="right", domain=False, ticks=False, labelLimit=320, labelFontSize=12, labelPadding=8),
    )  # fmt: skip
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    height = KEY_STEP * len(order)
    line = _chart(ends, 46, height).mark_line(strokeWidth=2.5)
    mark = _chart([{"label": label, "x": 0.5} for label in order], 46, height).mark_point(size=60, filled=True)
    return svg(
        alt.layer(
            line.encode(x=x, y=y, color=_colour(styles), strokeDash=_dash(styles)),
            mark.encode(x=x, y=y, color=_colour(styles), shape=_shape(styles)),
        )
    )


def _chart(rows: Rows, width: int, height: int) -> alt.Chart:
    import altair as alt

    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows]), width=width, height=height)


def _scale(values: Sequence[float], *, percent: bool) -> alt.Scale:
    import altair as alt

    if percent:
        return alt.Scale(domain=[0, 100])
    positive = min(values) > 0
    return alt.Scale(type="log") if positive and max(values) > SPREAD * min(values) else alt.Scale(zero=False)


def _colour(styles: Styles) -> alt.Color:
    import altair as alt

    scale = alt.Scale(domain=list(styles), range=[style.colour for style in styles.values()])
    return alt.Color("label:N", scale=scale, legend=None)


def _dash(styles: Styles) -> alt.StrokeDash:
    import altair as alt

    scale = alt.Scale(domain=list(styles), range=[list(style.dash) for style in styles.values()])
    return alt.StrokeDash("label:N", scale=scale, legend=None)


def _shape(styles: Styles) -> alt.Shape:
    import altair as alt

    scale = alt.Scale(domain=list(styles), range=[style.shape for style in styles.values()])
    return alt.Shape("label:N", scale=scale, legend=None)
