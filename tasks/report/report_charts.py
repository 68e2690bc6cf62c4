"""The report's plots as SVG without scripts. Text has the colour of the page; marks are labelled."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from editflow.editing.metrics.principal_plane import bandwidth, density, ellipse
from editflow.tasks.report.graph_layout import lane_order
from editflow.tasks.stages.drift import CLOUDS

if TYPE_CHECKING:
    import altair as alt

Rows = Sequence[Mapping[str, Any]]
COLOURS = ("#0a84d0", "#e07b00", "#0a9e73", "#c65fa2", "#8a7fd6", "#b59b00", "#d1495b", "#5b8c9e")
"""Distinguishable on light and dark backgrounds, also with colour blindness."""
WIDTH, HEIGHT = 270, 170
MAX_POINTS = 60
"""Lines with more batches have no points, since they would overlap."""
PLANE_SIZE, MARGINAL_SIZE = 210, 40
MAX_PROMPTS = 300
RENDERER_BASE = "https://vega.github.io/vega-datasets/"  # the renderer puts it before links within the page

_IDS = re.compile(r'(?<= id=")[^"]+(?=")')
_REFERENCES = re.compile(r'( id="|url\(#)((?:gradient_|clip)[0-9]+)')


def svg(chart: alt.TopLevelMixin, links: bool = False) -> str:
    """A chart as an SVG element with ids that are unique on a page."""
    import vl_convert

    spec = _styled(chart).to_dict()
    text = _with_stable_ids(str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])), json.dumps(spec))
    return text.replace(f'xlink:href="{RENDERER_BASE}', 'href="').replace("xlink:href=", "href=") if links else text


def _with_stable_ids(text: str, spec: str) -> str:
    """Replace the ids of gradients and clips by a hash of the spec: the renderer numbers them across charts."""
    stem = hashlib.sha256(spec.encode()).hexdigest()[:10]
    ids = {id_: f"{stem}-{n}" for n, id_ in enumerate(dict.fromkeys(_IDS.findall(text)))}
    return _REFERENCES.sub(lambda found: f"{found[1]}{ids[found[2]]}", text) if ids else text


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
    """A chart of rows, without marks."""
    import altair as alt

    values = alt.InlineData(values=[dict(row) for row in rows])
    return alt.Chart(values, width=width, height=height)


def _batches() -> alt.X:
    import altair as alt

    return alt.X("batch:Q", title="batch", axis=alt.Axis(tickMinStep=1, format="d"))


def _points(rows: Rows, size: int) -> alt.OverlayMarkDef | bool:
    """Points on a line, unless there are too many."""
    import altair as alt

    return alt.OverlayMarkDef(size=size) if len({row["batch"] for row in rows}) <= MAX_POINTS else False


def score_curve(rows: Rows, metric: str, score: str) -> str:
    """A metric's score after each batch, for the facts of the batch and for all facts so far."""
    import altair as alt

    chosen = [row for row in rows if row["metric"] == metric]
    return svg(
        plot(chosen)
        .mark_line(point=_points(chosen, 45))
        .encode(
            x=_batches(),
            y=alt.Y("percent:Q", title=f"{score} %", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color("facts:N", sort=["all facts so far", "the batch's own facts"]),
            strokeDash=alt.StrokeDash("facts:N", legend=None, sort=["all facts so far", "the batch's own facts"]),
        )
    )


def line(rows: Rows, column: str, title: str, *, by: str | None = None) -> str:
    """A column by batch; with `by`, one line for each value of that column."""
    import altair as alt

    chart = plot(rows).mark_line(point=_points(rows, 40))
    y = alt.Y(f"{column}:Q", title=title, scale=alt.Scale(zero=False))
    colour = {"color": alt.Color(f"{by}:N", legend=alt.Legend(title=by, columns=8))} if by else {}
    return svg(chart.encode(x=_batches(), y=y, **colour))


def spectrum(rows: Rows) -> str:
    """One layer's eigenvalues, the largest first, with the threshold and the null space."""
    import altair as alt

    first = rows[0]
    y = alt.Y("eigenvalue:Q", title="eigenvalue", scale=alt.Scale(type="log"), axis=alt.Axis(format=".0e", tickCount=5))
    x = alt.X("place:Q", title="direction, by falling eigenvalue", scale=alt.Scale(nice=False))
    # Smaller eigenvalues are indistinguishable from zero: float64 has 16 digits.
    floor = max(row["eigenvalue"] for row in rows) * 1e-16
    shown = [dict(row) | {"eigenvalue": max(row["eigenvalue"], floor)} for row in rows]
    curve = plot(shown).mark_line(color=COLOURS[0], strokeWidth=2.5).encode(x=x, y=y)
    band = plot([{"from": first["edge"], "to": rows[-1]["place"]}]).mark_rect(color=COLOURS[2], opacity=0.15)
    rule = plot([{"threshold": max(first["threshold"], floor)}]).mark_rule(
        color=COLOURS[1], strokeDash=[5, 3], strokeWidth=2
    )
    return svg(alt.layer(band.encode(x="from:Q", x2="to:Q"), rule.encode(y="threshold:Q"), curve))


def heat_map(rows: Rows, metric: str, score: str) -> str:
    """The score of each batch's facts in each state in which they were evaluated."""
    import altair as alt

    chosen = [row for row in rows if row["metric"] == metric]
    batches = len({row["batch"] for row in chosen} | {row["state"] for row in chosen})
    chart = plot(chosen, height=max(HEIGHT, min(600, 22 * batches)))
    x = alt.X("state:O", title="evaluated after batch", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("batch:O", title="facts of batch", axis=alt.Axis(labelOverlap=True))
    colour = alt.Color(
        "percent:Q", scale=alt.Scale(domain=[0, 100], scheme="viridis"), legend=alt.Legend(title=f"{score} %")
    )
    cells = chart.mark_rect().encode(x=x, y=y, color=colour)
    if batches > 12:
        return svg(cells)
    contrast = alt.condition("datum.percent > 60", alt.value("#000"), alt.value("#fff"))
    return svg(
        cells + chart.mark_text(fontSize=11).encode(x=x, y=y, color=contrast, text=alt.Text("percent:Q", format=".0f"))
    )


def drift(points: Rows) -> str:
    """Hidden states of the base and the edited model in one layer, in the plane of the base's first principal axes.

    `points` are rows of drift_points. The densities of both clouds, which define the overlap, are above and at the
    right; the dashed line is the base's 95 % confidence region. Both are of all prompts, of which the first MAX_PROMPTS
    are drawn as points.
    """
    import altair as alt

    base, edited = (np.array([(p["x"], p["y"]) for p in points if p["cloud"] == cloud]) for cloud in CLOUDS)
    edge = ellipse(base)
    whole = np.concatenate([base, edited, edge])
    spans = [_span(whole[:, axis]) for axis in (0, 1)]
    x, y = (_axis(name, title, span) for name, title, span in zip("xy", ("first", "second"), spans, strict=True))
    # The clouds alternate, so that neither hides the other.
    shown = sorted((p for p in points if p["i"] < MAX_PROMPTS), key=lambda p: (p["i"], p["cloud"]))
    marks = plot(shown, PLANE_SIZE, PLANE_SIZE).mark_circle(size=16, opacity=0.6, aria=False)
    dots = marks.encode(x=x, y=y, color=_cloud())
    outline = plot([{"x": a, "y": b, "step": n} for n, (a, b) in enumerate(edge.tolist())], PLANE_SIZE, PLANE_SIZE)
    region = outline.mark_line(color=COLOURS[0], strokeDash=[5, 3], strokeWidth=1.5, aria=False)
    above, beside = (_densities(base[:, n], edited[:, n], span) for n, span in enumerate(spans))
    middle = alt.layer(dots, region.encode(x=x, y=y, order="step:Q"))
    right = _marginal(beside, spans[1], upright=True)
    rows = alt.vconcat(_marginal(above, spans[0]), alt.hconcat(middle, right, spacing=4), spacing=4)
    return svg(rows.properties(bounds="flush"))


def _span(values: np.ndarray) -> list[float]:
    """The range of the values with a margin of 5 % at both ends."""
    margin = 0.05 * float(np.ptp(values))
    return [float(values.min()) - margin, float(values.max()) + margin]


def _axis(name: str, title: str, span: list[float]) -> Any:
    import altair as alt

    channel = alt.X if name == "x" else alt.Y
    scale = alt.Scale(domain=span, nice=False, zero=False)
    return channel(f"{name}:Q", title=f"{title} principal axis", scale=scale, axis=alt.Axis(tickCount=5))


def _cloud() -> alt.Color:
    import altair as alt

    scale = alt.Scale(domain=list(CLOUDS), range=list(COLOURS[: len(CLOUDS)]))
    return alt.Color("cloud:N", scale=scale, legend=alt.Legend(symbolType="circle", symbolOpacity=1, symbolSize=60))


def _densities(base: np.ndarray, edited: np.ndarray, span: list[float]) -> Rows:
    grid, width = np.linspace(span[0], span[1], 160), bandwidth(base)
    return [
        {"cloud": cloud, "position": float(position), "density": float(value)}
        for cloud, values in zip(CLOUDS, (base, edited), strict=True)
        for position, value in zip(grid, density(values, grid, width), strict=True)
    ]


def _marginal(rows: Rows, span: list[float], *, upright: bool = False) -> Any:
    """The densities along an axis of the plane, drawn above it, or with `upright` at its right."""
    import altair as alt

    along, across = (alt.Y, alt.X) if upright else (alt.X, alt.Y)
    chart = plot(rows, *((MARGINAL_SIZE, PLANE_SIZE) if upright else (PLANE_SIZE, MARGINAL_SIZE))).encode(
        along("position:Q", axis=None, scale=alt.Scale(domain=span, nice=False, zero=False)),
        across("density:Q", axis=None, stack=None),
        color=_cloud(),
    )
    areas = chart.mark_area(opacity=0.25, orient="horizontal" if upright else "vertical", aria=False)
    return areas + chart.mark_line(strokeWidth=1.5, aria=False).encode(order="position:Q")


def durations(rows: Rows) -> str:
    """Seconds of each stage, in this run and in earlier runs whose artifacts it reused."""
    import altair as alt

    named = (("seconds", "in this run"), ("saved", "in earlier runs, reused"))
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
    """The lineage graph, from left to right with one lane per kind. Each node is a link to `#artifact-ID`.

    `marks` are the values of `how`, the category of a node, in the order of the colours.
    """
    import altair as alt

    kinds = sorted({node["kind"] for node in nodes}, key=lane_order)
    positions = _positions(nodes, kinds)
    points = [
        {"x": positions[n["id"]][0], "y": positions[n["id"]][1], "how": n["how"],
         "name": f"{n['label']}, {n['kind']} {n['id'][:12]}, {n['how']}", "link": f"#artifact-{n['id']}"}
        for n in nodes
    ]  # fmt: skip
    ends = [(*positions[parent["id"]], *positions[n["id"]]) for n in nodes for parent in n["parents"]]
    edges = [dict(zip(("x", "y", "x2", "y2"), end, strict=True)) for end in ends]
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


def _positions(nodes: Rows, kinds: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Position (x, y) of each artifact. A column is as wide as its fullest lane."""
    widths: dict[int, int] = {}
    for node in nodes:
        widths[node["column"]] = max(widths.get(node["column"], 0), node["shift"] + 1)
    start: dict[int, float] = {}
    x = 0.0
    for column in sorted(widths):
        start[column] = x
        x += min(widths[column], _ROW_LENGTH) * 0.9 + 0.4
    return {
        n["id"]: (
            start[n["column"]] + 0.9 * (n["shift"] % _ROW_LENGTH) + 0.15 * (n["shift"] // _ROW_LENGTH),
            kinds.index(n["kind"]) + 0.22 * (n["shift"] // _ROW_LENGTH),
        )
        for n in nodes
    }


_ROW_LENGTH = 8
"""Number of artifacts of one lane and column that are drawn side by side. The next ones are below them."""
