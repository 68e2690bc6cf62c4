"""What a method of editing declares, and what it may be given of a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from torch import Tensor

from editing.editors.batch import Solver
from editing.editors.knowledge import Knowledge
from editing.editors.options import MethodOptions
from editing.editors.steps import Change, Step, filtered, projected
from editing.linalg.solvers import LowRank

Need = Literal["null_space", "second_moment"]

Rule = Callable[[MethodOptions, Sequence[int], int, int], None]
"""(options, layers, z layer, batch size): raises InvalidOption for a combination that has no meaning."""

ADDED = ("anchor", "filter")
"""Options of every method with target values. They are part of a recipe only where they differ from their default."""


@dataclass(frozen=True)
class Method:
    """A way to turn residuals at keys into a change of a layer's down-projection.

    `solver` builds what holds the rest at a layer; `step`, if any, is done to its change before that is written.
    `needs` names what must be known of a layer, `options` the fields of MethodOptions that it takes and `defaults`
    those that differ from MethodOptions' own; `rules` refuse what has no meaning. `source` says paper and equation,
    `about` what holds a change and what is done to it afterwards.
    """

    name: str
    source: str
    about: str
    solver: Callable[[Knowledge, MethodOptions], Solver]
    needs: tuple[Need, ...]
    options: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    step: Step | None = None
    rules: tuple[Rule, ...] = ()

    @property
    def takes(self) -> tuple[str, ...]:
        """All options that may be set."""
        return (*self.options, *ADDED)

    def read(self, given: Mapping[str, Any]) -> MethodOptions:
        """The options with this method's defaults for what is not given."""
        return MethodOptions(**{**self.defaults, **given})

    def recipe(self, options: MethodOptions) -> dict[str, Any]:
        """The options that the result depends on, as a part of a recipe."""
        usual = {f.name: f.default for f in fields(MethodOptions)}
        added = [name for name in ADDED if getattr(options, name) != usual[name]]
        return {name: getattr(options, name) for name in (*self.options, *added)}

    def needed(self, options: MethodOptions) -> tuple[Need, ...]:
        """What must be known of each layer under these options."""
        space: tuple[Need, ...] = ("null_space",) if options.projected else ()
        return tuple(dict.fromkeys((*self.needs, *space)))

    def check(self, options: MethodOptions, layers: Sequence[int], z_layer: int, batch_size: int) -> None:
        """Raise InvalidOption, with the remedy, where a run of these layers and batches has no meaning."""
        for rule in self.rules:
            rule(options, layers, z_layer, batch_size)

    def finish(self, change: LowRank, weight: Tensor, known: Knowledge, options: MethodOptions) -> Change:
        """The change as it is written to `weight` (d_out, d_in): filtered, projected, then the method's step."""
        done = projected(filtered(change, known, options), known, options)
        return self.step(done, weight, known, options) if self.step else done
