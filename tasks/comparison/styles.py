"""The styles that distinguish rows in plots: colour, dashes and shape."""

from __future__ import annotations

from typing import NamedTuple

from editflow.tasks.report.report_charts import COLOURS

PALETTE = (*COLOURS, "#a0744f", "#8c8c8c")
DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (4, 2))
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")


class Style(NamedTuple):
    """A line's colour, the lengths of its dashes and gaps, and the shape of its marks."""

    colour: str
    dash: tuple[int, ...]
    shape: str


def style(number: int) -> Style:
    """The style of a row, counted from 0. The first 70 all differ, and the first 35 even without colour."""
    return Style(PALETTE[number % len(PALETTE)], DASHES[number % len(DASHES)], SHAPES[number % len(SHAPES)])
