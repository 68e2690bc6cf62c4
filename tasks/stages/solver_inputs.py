"""The inputs of a method from a weight change's parents: layer statistics, solvers, target values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from torch import Tensor

from editflow.editing.editors.batch import Solver
from editflow.editing.editors.facts import Fact
from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.methods import method, parse_options
from editflow.editing.editors.norm_anchor import reference_norms, rescale_to_norms
from editflow.editing.editors.options import ClosedFormOptions, MethodOptions
from editflow.editing.editors.target_values import TargetValue
from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.projected_ridge import LowRank
from editflow.tasks.models.model_session import ModelSession
from editflow.tasks.stages.moments import read_moment_layers, read_moments, read_null_space
from editflow.tasks.stages.settings import Recipe, recipe

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.stages.stage import Work


@dataclass(frozen=True)
class WeightChangeSettings:
    """A method with its options, and the settings of the run that the change depends on.

    A closed form has `z_layer` and `kl_prompt`, and `layers` if there are statistics of more layers than it edits. A
    method that trains has `layers` only. In a recipe, the method's options are on the same level as the other fields.
    """

    method: str
    options: MethodOptions
    layers: tuple[int, ...] | None = None
    z_layer: int | None = None
    kl_prompt: str | None = None

    def recipe(self) -> Recipe:
        """See tasks/stages/settings.py."""
        rest = {"layers": self.layers, "z_layer": self.z_layer, "kl_prompt": self.kl_prompt}
        given = {name: value for name, value in rest.items() if value is not None}
        return {"method": self.method, **recipe(self.options), **given}

    @classmethod
    def read(cls, recorded: Recipe) -> WeightChangeSettings:
        """See tasks/stages/settings.py."""
        chosen = method(str(recorded["method"]))
        keys = {f.name: f.metadata.get("recipe", f.name) for f in fields(chosen.options)}
        options = parse_options(chosen.name, {name: recorded[key] for name, key in keys.items() if key in recorded})
        layers = tuple(recorded["layers"]) if "layers" in recorded else None
        return cls(chosen.name, options, layers, recorded.get("z_layer"), recorded.get("kl_prompt"))


@dataclass(frozen=True)
class SolverInputs:
    """A method with its options, and the statistics of each layer."""

    method: ClosedForm[Any]
    options: ClosedFormOptions
    statistics: dict[int, LayerStatistics]

    @classmethod
    def of(cls, work: Work[WeightChangeSettings], session: ModelSession) -> SolverInputs:
        """Read them from a stage's settings and parents. Raises InvalidOption for a method that trains."""
        chosen = method(work.settings.method)
        options = work.settings.options
        if not isinstance(chosen, ClosedForm) or not isinstance(options, ClosedFormOptions):
            raise InvalidOption(f"{chosen.name} is not a closed form, so it has no solvers and keys")
        return cls(chosen, options, _statistics(work, session))

    def solvers(self) -> dict[int, Solver]:
        """The solver of each layer. Raises InvalidOption, which names the layer."""
        return {layer: self._solver(layer) for layer in self.statistics}

    def finish(self, layer: int, change: LowRank, weight: Tensor) -> LowRank | Tensor:
        """The final change of a layer after the method's postprocessing."""
        return self.method.finish(change, weight, self.statistics[layer], self.options)

    def values(
        self, session: ModelSession, facts: Sequence[Fact], values: Sequence[TargetValue], z_layer: int
    ) -> Sequence[TargetValue]:
        """The target values to write: scaled to the norms of the base model if the options ask for it."""
        if not self.options.anchor:
            return values
        with session.borrow_base() as model:
            return rescale_to_norms(values, reference_norms(model, facts, z_layer))

    def _solver(self, layer: int) -> Solver:
        try:
            return self.method.solver(self.statistics[layer], self.options)
        except InvalidOption as error:
            raise InvalidOption(f"layer {layer}: {error}") from None


def _statistics(work: Work[WeightChangeSettings], session: ModelSession) -> dict[int, LayerStatistics]:
    """The statistics of each edited layer, ascending; if the settings name no layers, of all layers in the parents."""
    spaces = dict(read_null_space(work.lake, artifact) for artifact in work.many("null_space"))
    wanted = work.settings.layers
    means = dict(mean for artifact in work.many("second_moment") for mean in _means(work.lake, artifact, wanted))
    return {n: LayerStatistics(spaces.get(n), means.get(n), session.base_weight(n)) for n in sorted({*spaces, *means})}


def _means(lake: Lake, artifact: str, wanted: Sequence[int] | None) -> Iterator[tuple[int, Tensor]]:
    """(layer, C0) of merged moments, for the wanted layers or all of them. One layer is in memory at a time."""
    for layer in sorted(wanted or read_moment_layers(lake, artifact)):
        yield layer, read_moments(lake, artifact, layer)[layer].mean()
