"""The plots of a comparison as SVG without scripts. A row has the same colour, dashes and shape in all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from editflow.tasks.comparison.styles import Style
from editflow.tasks.report.report_charts import Rows, plot, svg

if TYPE_CHECKING:
    import altair as alt

Styles = Mapping[str, Style]
WIDTH, HEIGHT = 300, 210
MAX_MARKS = 40
"""The maximum number of points of a line with a mark each."""
LOG_RATIO = 100
"""An axis is logarithmic if the maximum is more than this multiple of a positive minimum."""
BAND_OPACITY = 0.12
LEGEND_STEP = 22


def lines(rows: Rows, value: str, title: str, styles: Styles, *, percent: bool = False) -> str:
    """A score against the number of edits, one line per label; `percent` sets the axis to 0 to 100.

    With several seeds the line is their mean, and the area from `least` to `most` is shaded.
    The axis is logarithmic for values of very different magnitude, such as perplexities of a broken model.
    """
    import altair as alt

    x = alt.X("edits:Q", title="edits", axis=alt.Axis(tickMinStep=1, format="d", tickCount=6))
    values = [float(row[name]) for row in rows for name in (value, "least", "most")]
    scale, axis = _scale(values, percent=percent)
    y = alt.Y(f"{value}:Q", title=title, scale=scale, axis=axis)
    chart = plot(rows, WIDTH, HEIGHT)
    line = chart.mark_line().encode(
        x=x, y=y, color=_colour(styles), strokeDash=_dash(styles), strokeWidth=_thickness(styles)
    )
    layers = [line]
    if any(row["seeds"] > 1 for row in rows):
        ends = {"y": alt.Y("least:Q", title=title, scale=scale, axis=axis), "y2": "most:Q"}
        layers.insert(0, chart.mark_area(opacity=BAND_OPACITY).encode(x=x, color=_colour(styles), **ends))
    if len({row["edits"] for row in rows}) <= MAX_MARKS:
        marks = chart.mark_point(size=55, filled=True, opacity=1)
        layers.append(marks.encode(x=x, y=y, color=_colour(styles), shape=_shape(styles)))
    return svg(alt.layer(*layers).resolve_scale(color="shared"))


def legend(styles: Styles) -> str:
    """The legend as a plot of its own, so that it leaves the curves their space."""
    import altair as alt

    ends = [{"label": label, "x": x} for label in styles for x in (0, 1)]
    order = list(styles)
    y = alt.Y(
        "label:N", sort=order, title=None,
        axis=alt.Axis(orient="right", domain=False, ticks=False, labelLimit=320, labelFontSize=12, labelPadding=8),
    )  # fmt: skip
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    height = LEGEND_STEP * len(order)
    line = plot(ends, 46, height).mark_line()
    mark = plot([{"label": label, "x": 0.5} for label in order], 46, height).mark_point(size=95, filled=True, opacity=1)
    return svg(
        alt.layer(
            line.encode(x=x, y=y, color=_colour(styles), strokeDash=_dash(styles), strokeWidth=_thickness(styles)),
            mark.encode(x=x, y=y, color=_colour(styles), shape=_shape(styles)),
        )
    )


def _scale(values: Sequence[float], *, percent: bool) -> tuple[alt.Scale, alt.Axis]:
    """The scale of an axis and its ticks."""
    import altair as alt

    if percent:
        return alt.Scale(domain=[0, 100]), alt.Axis(tickCount=5)
    least, most = min(values), max(values)
    if least > 0 and most > LOG_RATIO * least:
        powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
        domain = [10.0 ** powers[0], 10.0 ** powers[-1]]
        step = max(1, len(powers) // 6)  # a tick at each power of ten, or at some of them
        return alt.Scale(type="log", domain=domain), alt.Axis(values=[10.0**n for n in powers[::step]], format="~g")
    return alt.Scale(zero=False), alt.Axis(tickCount=5)


def _colour(styles: Styles) -> alt.Color:
    import altair as alt

    scale = alt.Scale(domain=list(styles), range=[style.colour for style in styles.values()])
    return alt.Color("label:N", scale=scale, legend=None)


def _dash(styles: Styles) -> alt.StrokeDash:
    import altair as alt

    scale = alt.Scale(domain=list(styles), range=[list(style.dash) for style in styles.values()])
    return alt.StrokeDash("label:N", scale=scale, legend=None)


def _thickness(styles: Styles) -> alt.StrokeWidth:
    """Decreasing widths, so that lines drawn on top of each other all remain visible."""
    import altair as alt

    widths = [1.5 + 2.5 * (len(styles) - n - 1) / max(1, len(styles) - 1) for n in range(len(styles))]
    return alt.StrokeWidth("label:N", scale=alt.Scale(domain=list(styles), range=widths), legend=None)


def _shape(styles: Styles) -> alt.Shape:
    import altair as alt

    scale = alt.Scale(domain=list(styles), range=[style.shape for style in styles.values()])
    return alt.Shape("label:N", scale=scale, legend=None)
