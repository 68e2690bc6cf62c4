"""ROME: one fact, one layer, and a rank-one change that maps the fact's mean key exactly to its target value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.options import ClosedFormOptions
from editflow.editing.errors import InvalidOption

if TYPE_CHECKING:
    from editflow.editing.editors.layer_statistics import LayerStatistics
    from editflow.editing.linalg.moment_solvers import RankOne


def _check_one_fact_and_layer(
    _options: ClosedFormOptions, layers: Sequence[int], z_layer: int, batch_size: int
) -> None:
    if len(layers) != 1:
        raise InvalidOption(f"rome edits one layer, not {list(layers)}: set edit.layers = [{z_layer}]")
    if layers[0] != z_layer:
        raise InvalidOption(
            f"rome writes z* where it was found: set edit.z_layer = {layers[0]} with edit.layers = [{layers[0]}], "
            f"or edit.layers = [{z_layer}] (edit.z_layer = {z_layer}, edit.layers = {list(layers)})"
        )
    if batch_size != 1:
        raise InvalidOption(f"rome writes one fact at a time, not {batch_size}: set edit.batch_size = 1")


def _rank_one(statistics: LayerStatistics, options: ClosedFormOptions) -> RankOne:
    from editflow.editing.linalg.moment_solvers import RankOne

    return RankOne(statistics.required_second_moment, options.ridge)


ROME = ClosedForm(
    name="rome",
    source="ROME (arXiv 2202.05262), equation 2",
    about="one fact written exactly at its mean key, along the direction that affects the corpus's keys least",
    solver=_rank_one,
    needs=("second_moment",),
    options=ClosedFormOptions,
    rules=(_check_one_fact_and_layer,),
)
