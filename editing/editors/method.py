"""What an editing method declares, and the layer statistics that it can ask for.

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
"""A change in two thin factors, or the whole new weight."""

Options = TypeVar("Options", bound=MethodOptions)
ClosedOptions = TypeVar("ClosedOptions", bound=ClosedFormOptions)

Rule = Callable[[Options, Sequence[int], int, int], None]
"""(options, layers, z layer, batch size): raises InvalidOption for a combination that has no meaning."""

Train = Callable[["EditableModel", Sequence[int], Sequence["Fact"], Options], dict[int, "Tensor"]]
"""(model, layers, facts, options): changes the model in place and returns the new weight (d_out, d_in) by layer."""

Step = Callable[["LowRank", "Tensor", "LayerStatistics", Options], "Change"]
"""(change, current weight (d_out, d_in), layer statistics, options): another change, or the new weight."""


@dataclass(frozen=True, kw_only=True)
class Method(Generic[Options]):
    """A way to edit: one of the two below.

    `source` names paper and equation, `about` the solver and the post-processing. `options` is the class of the
    method's options with their defaults, each a key of `[edit]`; `rules` refuse combinations that have no meaning.
    """

    name: str
    source: str
    about: str
    options: type[Options]
    rules: tuple[Rule[Options], ...] = ()

    @property
    def takes(self) -> tuple[str, ...]:
        """All options that may be set."""
        return tuple(f.name for f in fields(self.options))

    @property
    def form(self) -> Form:
        """How its changes are stored."""
        return "replaced"

    def needed(self, options: Options) -> tuple[Need, ...]:
        """What must be known of each layer under these options."""
        del options
        return ()

    def check(self, options: Options, layers: Sequence[int], z_layer: int, batch_size: int) -> None:
        """Raise InvalidOption, with the remedy, where a run of these layers and batches has no meaning."""
        for rule in self.rules:
            rule(options, layers, z_layer, batch_size)


@dataclass(frozen=True, kw_only=True)
class ClosedForm(Method[ClosedOptions]):
    """Turns residuals of target values at keys into a change of a layer's down-projection.

    `solver` builds the solver of a layer; `step`, if any, post-processes its change before that is written. `needs`
    names what must be known of a layer.
    """

    solver: Callable[[LayerStatistics, ClosedOptions], Solver]
    needs: tuple[Need, ...]
    step: Step[ClosedOptions] | None = None

    @property
    def form(self) -> Form:
        """A change without post-processing keeps its factors."""
        return "replaced" if self.step else "low_rank"

    def needed(self, options: ClosedOptions) -> tuple[Need, ...]:
        """See Method. Whatever is projected needs the null space too."""
        space: tuple[Need, ...] = ("null_space",) if isinstance(options, MomentOptions) and options.projected else ()
        return tuple(dict.fromkeys((*self.needs, *space)))

    def finish(self, change: LowRank, weight: Tensor, known: LayerStatistics, options: ClosedOptions) -> Change:
        """The change as it is written to `weight` (d_out, d_in): filtered, projected, then the method's step."""
        from editflow.editing.editors.postprocessing import filtered, projected

        done = filtered(change, known, options.protected_energy)
        if isinstance(options, MomentOptions) and options.projected:
            done = projected(done, known)
        return self.step(done, weight, known, options) if self.step else done


@dataclass(frozen=True, kw_only=True)
class Training(Method[Options]):
    """Trains the weights themselves: no target values, no keys, no layer statistics."""

    train: Train[Options]
