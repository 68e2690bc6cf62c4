"""The report's plots, as SVG without scripts: text takes the page's colour, marks say what they show."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from editflow.editing.metrics.principal_plane import bandwidth, density, ellipse
from editflow.tasks.report.graph_layout import LANES

if TYPE_CHECKING:
    import altair as alt

Rows = Sequence[Mapping[str, Any]]
COLOURS = ("#0a84d0", "#e07b00", "#0a9e73", "#c65fa2", "#8a7fd6", "#b59b00", "#d1495b", "#5b8c9e")
"""Distinguishable with colour blindness, on light and dark backgrounds."""
WIDTH, HEIGHT = 270, 170
MOST_POINTS = 60
CLOUDS = ("base", "edited")
PLANE, MARGIN, DRAWN = 210, 40, 300
BASE = "https://vega.github.io/vega-datasets/"  # what the renderer puts before a link within the page

_NAMES = re.compile(r'(?<= id=")[^"]+(?=")')
_USES = re.compile(r'( id="|url\(#)((?:gradient_|clip)[0-9]+)')


def svg(chart: alt.TopLevelMixin, links: bool = False) -> str:
    """A chart as an SVG element that can stand in a page beside others."""
    import vl_convert

    spec = _styled(chart).to_dict()
    text = _own_names(str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])), json.dumps(spec))
    return text.replace(f'xlink:href="{BASE}', 'href="').replace("xlink:href=", "href=") if links else text


def _own_names(text: str, of: str) -> str:
    """Names of gradients and clips by what is drawn: the renderer counts them through its whole life."""
    stem = hashlib.sha256(of.encode()).hexdigest()[:10]
    names = {name: f"{stem}-{n}" for n, name in enumerate(dict.fromkeys(_NAMES.findall(text)))}
    return _USES.sub(lambda use: f"{use[1]}{names[use[2]]}", text) if names else text


def _styled(chart: Any) -> Any:
    ink = "currentColor"
    axis = {"labelColor": ink, "titleColor": ink, "domainColor": ink, "tickColor": ink, "gridColor": ink}
    return (
        chart.configure(background="transparent", font="sans-serif")
        .configure_axis(**axis, gridOpacity=0.15, domainOpacity=0.5, tickOpacity=0.5, titleFontWeight="normal")
        .configure_legend(labelColor=ink, titleColor=ink, orient="bottom", title=None, columns=3, labelLimit=240)
        .configure_view(stroke=None)
        .configure_range(category=list(COLOURS))
    )


def plot(rows: Rows, width: int = WIDTH, height: int = HEIGHT) -> alt.Chart:
    import altair as alt

    values = alt.InlineData(values=[dict(row) for row in rows])
    return alt.Chart(values, width=width, height=height)


def _batches(title: str = "batch") -> alt.X:
    import altair as alt

    return alt.X("batch:Q", title=title, axis=alt.Axis(tickMinStep=1, format="d"))


def _points(rows: Rows, size: int) -> alt.OverlayMarkDef | bool:
    """Marks on a line's values, as long as they can be distinguished."""
    import altair as alt

    return alt.OverlayMarkDef(size=size) if len({row["batch"] for row in rows}) <= MOST_POINTS else False


def score_curve(rows: Rows, metric: str, figure: str) -> str:
    """A metric's score after each batch, of the batch's own facts and of all so far."""
    import altair as alt

    mine = [row for row in rows if row["metric"] == metric]
    return svg(
        plot(mine)
        .mark_line(point=_points(mine, 45))
        .encode(
            x=_batches(),
            y=alt.Y("percent:Q", title=f"{figure} %", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color("facts:N", sort=["all facts so far", "the batch's own facts"]),
            strokeDash=alt.StrokeDash("facts:N", legend=None, sort=["all facts so far", "the batch's own facts"]),
        )
    )


def line(rows: Rows, column: str, title: str, *, by: str | None = None) -> str:
    """A score batch by batch; with `by`, a line for each of its values."""
    import altair as alt

    chart = plot(rows).mark_line(point=_points(rows, 40))
    y = alt.Y(f"{column}:Q", title=title, scale=alt.Scale(zero=False))
    colour = {"color": alt.Color(f"{by}:N", legend=alt.Legend(title=by, columns=8))} if by else {}
    return svg(chart.encode(x=_batches(), y=y, **colour))


def spectrum(rows: Rows) -> str:
    """One layer's eigenvalues, the greatest first, with the threshold and the null space behind it."""
    import altair as alt

    first = rows[0]
    y = alt.Y("eigenvalue:Q", title="eigenvalue", scale=alt.Scale(type="log"), axis=alt.Axis(format=".0e", tickCount=5))
    x = alt.X("place:Q", title="direction, the most used first", scale=alt.Scale(nice=False))
    # No line falls below what float64 can tell from nothing beside the greatest eigenvalue.
    floor = max(row["eigenvalue"] for row in rows) * 1e-16
    shown = [dict(row) | {"eigenvalue": max(row["eigenvalue"], floor)} for row in rows]
    curve = plot(shown).mark_line(color=COLOURS[0], strokeWidth=2.5).encode(x=x, y=y)
    band = plot([{"from": first["edge"], "to": rows[-1]["place"]}]).mark_rect(color=COLOURS[2], opacity=0.15)
    rule = plot([{"threshold": max(first["threshold"], floor)}]).mark_rule(
        color=COLOURS[1], strokeDash=[5, 3], strokeWidth=2
    )
    return svg(alt.layer(band.encode(x="from:Q", x2="to:Q"), rule.encode(y="threshold:Q"), curve))


def heat_map(rows: Rows, metric: str, figure: str) -> str:
    """The score of each batch's facts in each state that was evaluated on them."""
    import altair as alt

    mine = [row for row in rows if row["metric"] == metric]
    batches = len({row["batch"] for row in mine} | {row["state"] for row in mine})
    chart = plot(mine, height=max(HEIGHT, min(600, 22 * batches)))
    x = alt.X("state:O", title="asked after batch", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("batch:O", title="facts of batch", axis=alt.Axis(labelOverlap=True))
    colour = alt.Color(
        "percent:Q", scale=alt.Scale(domain=[0, 100], scheme="viridis"), legend=alt.Legend(title=f"{figure} %")
    )
    cells = chart.mark_rect().encode(x=x, y=y, color=colour)
    if batches > 12:
        return svg(cells)
    bright = alt.condition("datum.percent > 60", alt.value("#000"), alt.value("#fff"))
    return svg(
        cells + chart.mark_text(fontSize=11).encode(x=x, y=y, color=bright, text=alt.Text("percent:Q", format=".0f"))
    )


def drift(points: Rows) -> str:
    """One layer's rows of drift_points in two colours: hidden states in the plane of the base's principal axes.

    Above and at the right the density of each cloud, from which the overlap is taken; dashed, the base's 95 %
    confidence region. Both are of all prompts, of which the first DRAWN are drawn as points.
    """
    import altair as alt

    base, edited = (np.array([(p["x"], p["y"]) for p in points if p["cloud"] == cloud]) for cloud in CLOUDS)
    edge = ellipse(base)
    whole = np.concatenate([base, edited, edge])
    spans = [_span(whole[:, axis]) for axis in (0, 1)]
    x, y = (_place(name, title, span) for name, title, span in zip("xy", ("first", "second"), spans, strict=True))
    # Prompt by prompt, so that neither cloud hides the other.
    shown = sorted((p for p in points if p["i"] < DRAWN), key=lambda p: (p["i"], p["cloud"]))
    dots = plot(shown, PLANE, PLANE).mark_circle(size=16, opacity=0.6, aria=False).encode(x=x, y=y, color=_cloud())
    outline = plot([{"x": a, "y": b, "step": n} for n, (a, b) in enumerate(edge.tolist())], PLANE, PLANE)
    region = outline.mark_line(color=COLOURS[0], strokeDash=[5, 3], strokeWidth=1.5, aria=False)
    above, beside = (_densities(base[:, n], edited[:, n], span) for n, span in enumerate(spans))
    middle = alt.layer(dots, region.encode(x=x, y=y, order="step:Q"))
    right = _marginal(beside, spans[1], upright=True)
    rows = alt.vconcat(_marginal(above, spans[0]), alt.hconcat(middle, right, spacing=4), spacing=4)
    return svg(rows.properties(bounds="flush"))


def _span(values: np.ndarray) -> list[float]:
    """The values' range with a little room at both ends."""
    room = 0.05 * float(np.ptp(values))
    return [float(values.min()) - room, float(values.max()) + room]


def _place(name: str, title: str, span: list[float]) -> Any:
    import altair as alt

    channel = alt.X if name == "x" else alt.Y
    scale = alt.Scale(domain=span, nice=False, zero=False)
    return channel(f"{name}:Q", title=f"{title} principal axis", scale=scale, axis=alt.Axis(tickCount=5))


def _cloud() -> alt.Color:
    import altair as alt

    scale = alt.Scale(domain=list(CLOUDS), range=list(COLOURS[: len(CLOUDS)]))
    return alt.Color("cloud:N", scale=scale, legend=alt.Legend(symbolType="circle", symbolOpacity=1, symbolSize=60))


def _densities(base: np.ndarray, edited: np.ndarray, span: list[float]) -> Rows:
    at, width = np.linspace(span[0], span[1], 160), bandwidth(base)
    return [
        {"cloud": cloud, "at": float(place), "density": float(value)}
        for cloud, values in zip(CLOUDS, (base, edited), strict=True)
        for place, value in zip(at, density(values, at, width), strict=True)
    ]


def _marginal(rows: Rows, span: list[float], *, upright: bool = False) -> Any:
    """Densities along an axis of the plane: lying above it, or upright beside it."""
    import altair as alt

    along, across = (alt.Y, alt.X) if upright else (alt.X, alt.Y)
    chart = plot(rows, *((MARGIN, PLANE) if upright else (PLANE, MARGIN))).encode(
        along("at:Q", axis=None, scale=alt.Scale(domain=span, nice=False, zero=False)),
        across("density:Q", axis=None, stack=None),
        color=_cloud(),
    )
    ground = chart.mark_area(opacity=0.25, orient="horizontal" if upright else "vertical", aria=False)
    return ground + chart.mark_line(strokeWidth=1.5, aria=False).encode(order="at:Q")


def durations(rows: Rows) -> str:
    """Seconds of each stage: of this run, and of the runs whose artifacts were reused."""
    import altair as alt

    named = (("seconds", "in this run"), ("saved", "reused from before"))
    bars = [{"stage": row["stage"], "seconds": row[key], "when": when} for row in rows for key, when in named]
    order = [row["stage"] for row in rows]
    chart = plot([bar for bar in bars if bar["seconds"]], width=340, height=max(80, 20 * len(order)))
    return svg(
        chart.mark_bar().encode(
            x=alt.X("seconds:Q", title="seconds"),
            y=alt.Y("stage:N", sort=order, title=None),
            color=alt.Color("when:N", sort=[when for _, when in named]),
        )
    )


def graph(nodes: Rows, marks: Sequence[str]) -> str:
    """What was made from what: a lane a kind, from left to right; each node is a link to `#artifact-ID`.

    `marks` are what nodes may be coloured by, their `how`, in the order of the colours.
    """
    import altair as alt

    seen = {node["kind"] for node in nodes}
    kinds = [kind for kind in (*LANES, *sorted(seen - set(LANES))) if kind in seen]
    place = _places(nodes, kinds)
    points = [
        {
            "x": place[n["id"]][0],
            "y": place[n["id"]][1],
            "how": n["how"],
            "name": f"{n['label']}, {n['kind']} {n['id'][:12]}, {n['how']}",
            "link": f"#artifact-{n['id']}",
        }
        for n in nodes
    ]
    corners = ("x", "y", "x2", "y2")
    edges = [dict(zip(corners, (*place[p["id"]], *place[n["id"]]), strict=True)) for n in nodes for p in n["parents"]]
    width, height = max(640, 26 * int(max(p["x"] for p in points) + 2)), 34 * len(kinds)
    axis = alt.Axis(
        values=list(range(len(kinds))), labelExpr=_labels(kinds), grid=False, domain=False, ticks=False, aria=False
    )
    y = alt.Y("y:Q", axis=axis, title=None, scale=alt.Scale(domain=[len(kinds) - 0.4, -0.6], nice=False, zero=False))
    x = alt.X(
        "x:Q", axis=None, scale=alt.Scale(domain=[-0.8, max(p["x"] for p in points) + 0.8], nice=False, zero=False)
    )
    lines = plot(edges, width, height).mark_rule(color="gray", opacity=0.35).encode(x=x, y=y, x2="x2:Q", y2="y2:Q")
    dots = plot(points, width, height).mark_circle(size=130, opacity=1).encode(
        x=x, y=y, color=alt.Color("how:N", sort=list(marks)), href="link:N", description="name:N",
    )  # fmt: skip
    return svg(alt.layer(lines, dots), links=True)


def _labels(kinds: Sequence[str]) -> str:
    return json.dumps([kind.replace("_", " ") for kind in kinds]) + "[datum.value]"


def _places(nodes: Rows, kinds: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Place (x, y) of each artifact: columns as wide as the most that share a lane in them."""
    wide: dict[int, int] = {}
    for node in nodes:
        wide[node["column"]] = max(wide.get(node["column"], 0), node["shift"] + 1)
    start: dict[int, float] = {}
    at = 0.0
    for column in sorted(wide):
        start[column] = at
        at += min(wide[column], _STACK) * 0.9 + 0.4
    return {
        n["id"]: (
            start[n["column"]] + 0.9 * (n["shift"] % _STACK) + 0.15 * (n["shift"] // _STACK),
            kinds.index(n["kind"]) + 0.22 * (n["shift"] // _STACK),
        )
        for n in nodes
    }


_STACK = 8
"""Artifacts of one kind and column that stand side by side before the next ones stand below."""
