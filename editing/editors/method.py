"""What an editing method declares, and the layer statistics that it can ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from torch import Tensor

from editflow.editing.editors.batch import Solver
from editflow.editing.editors.facts import Fact
from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.editors.options import MethodOptions
from editflow.editing.editors.postprocessing import Change, Step, filtered, projected
from editflow.editing.linalg.projected_ridge import LowRank
from editflow.editing.models.editable import EditableModel

Need = Literal["null_space", "second_moment"]

Form = Literal["low_rank", "replaced"]
"""A change in two thin factors, or the whole new weight."""

Rule = Callable[[MethodOptions, Sequence[int], int, int], None]
"""(options, layers, z layer, batch size): raises InvalidOption for a combination that has no meaning."""

Train = Callable[[EditableModel, Sequence[int], Sequence[Fact], MethodOptions], dict[int, Tensor]]
"""(model, layers, facts, options): changes the model in place and returns the new weight (d_out, d_in) by layer."""

_RECIPE_NAMES = {f.name: f.metadata.get("recipe", f.name) for f in fields(MethodOptions)}
"""What recipes call an option: a new name of an option leaves the ids of artifacts as they are."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to edit: one of the two below.

    `source` says paper and equation, `about` what holds a change and what is done to it afterwards. `options` names the
    fields of MethodOptions that it takes, `defaults` those that differ from MethodOptions' own; `rules` refuse what has
    no meaning.
    """

    name: str
    source: str
    about: str
    options: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    added: ClassVar[tuple[str, ...]] = ()

    @property
    def takes(self) -> tuple[str, ...]:
        """All options that may be set."""
        return (*self.options, *self.added)

    def read(self, given: Mapping[str, Any]) -> MethodOptions:
        """The options with this method's defaults for what is not given."""
        return MethodOptions(**{**self.defaults, **given})

    def recipe(self, options: MethodOptions) -> dict[str, Any]:
        """The options that the result depends on, as a part of a recipe."""
        usual = {f.name: f.default for f in fields(MethodOptions)}
        added = [name for name in self.added if getattr(options, name) != usual[name]]
        return {_RECIPE_NAMES[name]: getattr(options, name) for name in (*self.options, *added)}

    def read_recipe(self, recipe: Mapping[str, Any]) -> MethodOptions:
        """The options that a recipe holds, among its other keys."""
        words = {name: _RECIPE_NAMES[name] for name in self.takes}
        return self.read({name: recipe[word] for name, word in words.items() if word in recipe})

    @property
    def form(self) -> Form:
        """How its changes are stored."""
        return "replaced"

    def needed(self, options: MethodOptions) -> tuple[Need, ...]:
        """What must be known of each layer under these options."""
        del options
        return ()

    def check(self, options: MethodOptions, layers: Sequence[int], z_layer: int, batch_size: int) -> None:
        """Raise InvalidOption, with the remedy, where a run of these layers and batches has no meaning."""
        for rule in self.rules:
            rule(options, layers, z_layer, batch_size)


@dataclass(frozen=True, kw_only=True)
class ClosedForm(Method):
    """Turns residuals of target values at keys into a change of a layer's down-projection.

    `solver` builds what holds the rest at a layer; `step`, if any, is done to its change before that is written.
    `needs` names what must be known of a layer.
    """

    solver: Callable[[LayerStatistics, MethodOptions], Solver]
    needs: tuple[Need, ...]
    step: Step | None = None
    added: ClassVar[tuple[str, ...]] = ("anchor", "protected_energy")
    """Options that all of these take. They are part of a recipe only where they differ from their default."""

    @property
    def form(self) -> Form:
        """A change that nothing was done to keeps its factors."""
        return "replaced" if self.step else "low_rank"

    def needed(self, options: MethodOptions) -> tuple[Need, ...]:
        """See Method. Whatever is projected needs the null space too."""
        space: tuple[Need, ...] = ("null_space",) if options.projected else ()
        return tuple(dict.fromkeys((*self.needs, *space)))

    def finish(self, change: LowRank, weight: Tensor, known: LayerStatistics, options: MethodOptions) -> Change:
        """The change as it is written to `weight` (d_out, d_in): filtered, projected, then the method's step."""
        done = projected(filtered(change, known, options), known, options)
        return self.step(done, weight, known, options) if self.step else done


@dataclass(frozen=True, kw_only=True)
class Training(Method):
    """Trains the weights themselves: no target values, no keys, nothing known of a layer."""

    train: Train
