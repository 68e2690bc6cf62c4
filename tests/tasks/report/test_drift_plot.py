"""The drift plot has two colours and densities, is small, and is readable on any background."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from editflow.tasks.report import report_charts

pytestmark = pytest.mark.slow


def points(n: int = 50, moved: float = 0.0) -> list[dict[str, Any]]:
    base = np.random.default_rng(0).standard_normal((n, 2)) * [3, 1]
    return [
        {"layer": 4, "cloud": cloud, "i": i, "x": float(x), "y": float(y)}
        for cloud, places in (("base", base), ("edited", base + moved))
        for i, (x, y) in enumerate(places)
    ]


def circles(svg: str, colour: str) -> int:
    """The number of points of a colour. The opacity distinguishes points from areas and lines."""
    return len(
        re.findall(rf'<path [^>]*fill="{colour}"[^>]*opacity="0.6"|<path [^>]*opacity="0.6"[^>]*fill="{colour}"', svg)
    )


def test_each_cloud_has_its_own_colour() -> None:
    svg = report_charts.drift(points(50, 2.0))
    ElementTree.fromstring(svg)  # noqa: S314 - our own text
    assert [circles(svg, colour) for colour in report_charts.COLOURS[:3]] == [50, 50, 0]
    words = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert {"base", "edited", "first principal axis", "second principal axis"} <= set(words)
    assert 'stroke-dasharray="5,3"' in svg


def test_text_has_the_colour_of_the_page_and_the_plot_fits_a_column() -> None:
    svg = report_charts.drift(points())
    for text in re.findall(r"<text[^>]*>", svg):
        assert 'fill="currentColor"' in text
    width, height = (int(float(value)) for value in re.findall(r'(?:width|height)="([\d.]+)"', svg)[:2])
    assert 270 <= width <= 340
    assert 270 <= height <= 340
    assert "<script" not in svg


def test_at_most_three_hundred_prompts_are_drawn() -> None:
    svg = report_charts.drift(points(1000, 1.0))
    assert circles(svg, report_charts.COLOURS[0]) == report_charts.MAX_PROMPTS == 300
    assert len(svg) < 200_000


def test_the_plot_depends_on_the_points_and_not_on_their_order() -> None:
    rows = points(40, 1.0)
    assert report_charts.drift(rows) == report_charts.drift(rows[::-1]) == report_charts.drift(rows)
    assert report_charts.drift(points(40, 1.5)) != report_charts.drift(rows)


def test_a_degenerate_and_a_distant_cloud_are_drawn() -> None:
    rows = points(20)
    degenerate = [row | {"x": 0.0, "y": 0.0} if row["cloud"] == "edited" else row for row in rows]
    for rows in (degenerate, points(20, 1e6)):
        assert "NaN" not in report_charts.drift(rows)
        assert circles(report_charts.drift(rows), report_charts.COLOURS[1]) == 20
