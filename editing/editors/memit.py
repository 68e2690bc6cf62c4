"""MEMIT: a least-squares fit of the new facts, regularised by the second moment of the corpus's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.options import MomentOptions

if TYPE_CHECKING:
    from editflow.editing.editors.layer_statistics import LayerStatistics
    from editflow.editing.linalg.moment_solvers import MomentRidge


def moment_ridge(statistics: LayerStatistics, options: MomentOptions) -> MomentRidge:
    """Build MEMIT's solver for a layer."""
    from editflow.editing.linalg.moment_solvers import MomentRidge

    return MomentRidge(statistics.required_second_moment, options.alpha, options.ridge, previous=options.previous_keys)


MEMIT = ClosedForm(
    name="memit",
    source="MEMIT (arXiv 2210.07229), equation 14",
    about="a least-squares fit regularised by α C0, and with `previous_keys` by the keys of earlier facts",
    solver=moment_ridge,
    needs=("second_moment",),
    options=MomentOptions,
)
