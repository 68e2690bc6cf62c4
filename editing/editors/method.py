"""The declaration of an editing method, including the layer statistics that it needs.

Importing a method imports no torch, because specs are validated against its options. Its functions import what they
use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from editflow.editing.editors.options import ClosedFormOptions, MethodOptions, MomentOptions

if TYPE_CHECKING:
    from torch import Tensor

    from editflow.editing.editors.batch import Solver
    from editflow.editing.editors.facts import Fact
    from editflow.editing.editors.layer_statistics import LayerStatistics
    from editflow.editing.editors.postprocessing import Change
    from editflow.editing.linalg.projected_ridge import LowRank
    from editflow.editing.models.editable import EditableModel

Need = Literal["null_space", "second_moment"]

Form = Literal["low_rank", "replaced"]
"""A change as two thin factors, or the whole new weight."""

Options = TypeVar("Options", bound=MethodOptions)
ClosedOptions = TypeVar("ClosedOptions", bound=ClosedFormOptions)

Rule = Callable[[Options, Sequence[int], int, int], None]
"""(options, layers, z layer, batch size): raises InvalidOption for an invalid combination."""

Train = Callable[["EditableModel", Sequence[int], Sequence["Fact"], Options], dict[int, "Tensor"]]
"""(model, layers, facts, options): changes the model in place and returns the new weight (d_out, d_in) by layer."""

Step = Callable[["LowRank", "Tensor", "LayerStatistics", Options], "Tensor"]
"""(change, current weight (d_out, d_in), layer statistics, options): the new weight (d_out, d_in) in its dtype."""


@dataclass(frozen=True, kw_only=True)
class Method(Generic[Options]):
    """An editing method; ClosedForm or Training below.

    `source` names paper and equation; `about` describes solver and post-processing. Each field of the class `options`
    is a key of `[edit]` with its default. `rules` refuse invalid combinations.
    """

    name: str
    source: str
    about: str
    options: type[Options]
    rules: tuple[Rule[Options], ...] = ()

    @property
    def option_names(self) -> tuple[str, ...]:
        """Names of all options."""
        return tuple(f.name for f in fields(self.options))

    @property
    def form(self) -> Form:
        """The form in which its changes are stored."""
        return "replaced"

    def required_statistics(self, options: Options) -> tuple[Need, ...]:
        """Layer statistics that the method needs with these options."""
        del options
        return ()

    def check(self, options: Options, layers: Sequence[int], z_layer: int, batch_size: int) -> None:
        """Raise InvalidOption, with the remedy, if these options, layers and batches do not go together."""
        for rule in self.rules:
            rule(options, layers, z_layer, batch_size)


@dataclass(frozen=True, kw_only=True)
class ClosedForm(Method[ClosedOptions]):
    """A method that solves for the change of a layer's down-projection from keys and residuals of target values.

    `solver` builds a layer's solver. `step`, if any, post-processes the solver's change. `needs` names the layer
    statistics that the solver and the step use.
    """

    solver: Callable[[LayerStatistics, ClosedOptions], Solver]
    needs: tuple[Need, ...]
    step: Step[ClosedOptions] | None = None

    @property
    def form(self) -> Form:
        """A change without post-processing keeps its factors."""
        return "replaced" if self.step else "low_rank"

    def required_statistics(self, options: ClosedOptions) -> tuple[Need, ...]:
        """See Method. A projected change needs the null space too."""
        space: tuple[Need, ...] = ("null_space",) if isinstance(options, MomentOptions) and options.projected else ()
        return tuple(dict.fromkeys((*self.needs, *space)))

    def finish(self, change: LowRank, weight: Tensor, statistics: LayerStatistics, options: ClosedOptions) -> Change:
        """Post-process a change of `weight` (d_out, d_in): filter, project, then apply the method's own step."""
        from editflow.editing.editors.postprocessing import filter_change, project_change

        result = filter_change(change, statistics, options.protected_energy)
        if isinstance(options, MomentOptions) and options.projected:
            result = project_change(result, statistics)
        return self.step(result, weight, statistics, options) if self.step else result


@dataclass(frozen=True, kw_only=True)
class Training(Method[Options]):
    """A method that trains the weights themselves, without target values, keys or layer statistics."""

    train: Train[Options]
