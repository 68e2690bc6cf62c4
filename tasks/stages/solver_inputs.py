"""From a weight change's parents to the inputs of its method: layer statistics, solvers, target values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from editflow.editing.editors.batch import Solver
from editflow.editing.editors.facts import Fact
from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.editors.method import ClosedForm, Method
from editflow.editing.editors.methods import method
from editflow.editing.editors.norm_anchor import anchored, reference_norms
from editflow.editing.editors.options import MethodOptions
from editflow.editing.editors.target_values import TargetValue
from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.projected_ridge import LowRank
from editflow.tasks.models.model_session import ModelSession
from editflow.tasks.stages.moments import read_moments, read_null_space

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.stages.stage import Work


@dataclass(frozen=True)
class Solving:
    """A method with the options of a recipe, and what the recipe's parents say of each layer."""

    method: ClosedForm
    options: MethodOptions
    known: dict[int, LayerStatistics]

    @classmethod
    def of(cls, work: Work, live: ModelSession) -> Solving:
        """Read it off a stage's spec and parents."""
        chosen, options = chosen_of(work)
        if not isinstance(chosen, ClosedForm):
            raise InvalidOption(f"{chosen.name} solves for no change: it has no keys")
        return cls(chosen, options, _knowledge(work, live))

    def solvers(self) -> dict[int, Solver]:
        """The solver of each layer; InvalidOption names the layer."""
        return {layer: self._solver(layer) for layer in self.known}

    def finish(self, layer: int, change: LowRank, weight: Tensor) -> LowRank | Tensor:
        """What is written to a layer of a solver's change."""
        return self.method.finish(change, weight, self.known[layer], self.options)

    def values(
        self, live: ModelSession, facts: Sequence[Fact], values: Sequence[TargetValue], z_layer: int
    ) -> Sequence[TargetValue]:
        """The target values as they are to be written."""
        if not self.options.anchor:
            return values
        with live.unedited() as model:
            return anchored(values, reference_norms(model, facts, z_layer))

    def _solver(self, layer: int) -> Solver:
        try:
            return self.method.solver(self.known[layer], self.options)
        except InvalidOption as error:
            raise InvalidOption(f"layer {layer}: {error}") from None


def chosen_of(work: Work) -> tuple[Method, MethodOptions]:
    """The method that a stage's spec names, with its options."""
    chosen = method(work.spec["method"])
    return chosen, chosen.read_recipe(work.spec)


def _knowledge(work: Work, live: ModelSession) -> dict[int, LayerStatistics]:
    """What the parents say of each edited layer, layers ascending: all that they know, unless the recipe names them."""
    spaces = dict(read_null_space(work.lake, artifact) for artifact in work.many("null_space"))
    wanted = work.spec.get("layers")
    means = dict(mean for artifact in work.many("second_moment") for mean in _means(work.lake, artifact, wanted))
    return {n: LayerStatistics(spaces.get(n), means.get(n), live.original(n)) for n in sorted({*spaces, *means})}


def _means(lake: Lake, artifact: str, wanted: Sequence[int] | None) -> Iterator[tuple[int, Tensor]]:
    """(layer, C0) of merged moments, of these layers or, with None, of all."""
    moments = read_moments(lake, artifact)
    for layer in sorted(
        moments.keys() if wanted is None else wanted
    ):  # each sum is let go once it is divided: those of wide layers fill gigabytes
        yield layer, moments.pop(layer).mean()
