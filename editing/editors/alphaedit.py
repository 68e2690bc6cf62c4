"""AlphaEdit: every change is projected onto the null space of the keys of preserved knowledge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.options import ClosedFormOptions
from editflow.editing.errors import InvalidOption

if TYPE_CHECKING:
    from editflow.editing.editors.layer_statistics import LayerStatistics
    from editflow.editing.linalg.projected_ridge import ProjectedRidge


@dataclass(frozen=True)
class AlphaEditOptions(ClosedFormOptions):
    """Options of AlphaEdit."""

    ridge: float = 1.0
    """λ of the ridge regression inside the null space, above 0: a larger value changes less."""


def _check_ridge(options: AlphaEditOptions, _layers: Sequence[int], _z_layer: int, _batch_size: int) -> None:
    if options.ridge <= 0:
        raise InvalidOption(f"edit.ridge = {options.ridge}: alphaedit needs it above 0, or the system is singular")


def _null_space_ridge(statistics: LayerStatistics, options: AlphaEditOptions) -> ProjectedRidge:
    from editflow.editing.linalg.projected_ridge import ProjectedRidge

    return ProjectedRidge(statistics.required_null_space, options.ridge)


ALPHAEDIT = ClosedForm(
    name="alphaedit",
    source="AlphaEdit (arXiv 2410.02355), equation 14",
    about="a ridge regression inside the null space P, which holds the keys of all earlier facts",
    solver=_null_space_ridge,
    needs=("null_space",),
    options=AlphaEditOptions,
    rules=(_check_ridge,),
)
