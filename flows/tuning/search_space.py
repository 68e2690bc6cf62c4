"""The settings that a search varies, one coordinate after another, from the field's defaults."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from editflow.editing.editors.options import ClosedFormOptions, MomentOptions
from editflow.editing.errors import InvalidOption
from editflow.editing.models.family import family_of
from editflow.flows.console.errors import BadSpec
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.sections import EditSection

CENTRES = (0.2, 0.1, 0.3, 0.4)
"""Centres of a window of layers, as shares of the depth. Causal tracing (ROME, arXiv 2202.05262, §2.2) finds
facts in early to middle layers; MEMIT, AlphaEdit and their code edit around 0.19 (Llama 3 8B), 0.20 (GPT-J) and 0.32
(GPT-2 XL)."""


@dataclass(frozen=True)
class SearchRange:
    """Widths of a window of layers and the clamps to try; the search starts with the first of each."""

    widths: tuple[int, ...]
    clamps: tuple[float, ...]

    @classmethod
    def of(cls, model_type: str) -> SearchRange:
        """The range for an architecture.

        With a norm after the layer, a target value holds for one layer only, and the norm discards its length.
        """
        return PLAIN if family_of(model_type).norm_after is None else NORMED


PLAIN = SearchRange((5, 1, 3, 6), (0.75, 0.4, 1.2))
"""Published settings edit five or six layers. A window is at most a third of the depth: shallow models store facts in
few layers."""
NORMED = SearchRange((1,), (2.0, 1.0, 4.0))
SEARCHED = {
    "layers": "edit.layers",
    "ridge": "edit.ridge",
    "alpha": "edit.alpha",
    "learning_rate": "target_values.learning_rate",
    "clamp": "target_values.clamp",
    "stop_at": "target_values.stop_at",
    "steps": "target_values.steps",
}
"""The key of a spec for each coordinate."""


@dataclass(frozen=True)
class Setting:
    """One point of the search. Fields are keys of `[edit]` and `[target_values]`."""

    layers: tuple[int, ...]
    z_layer: int
    ridge: float
    learning_rate: float
    clamp: float
    stop_at: float
    steps: int
    alpha: float | None = None

    @classmethod
    def of(cls, spec: RunSpec) -> Setting:
        """The point of a spec; `alpha` is None without that option. Raises InvalidOption for a method without ridge."""
        edit, values, options = spec.edit, spec.target_values, spec.edit.options
        if not isinstance(options, ClosedFormOptions):
            raise InvalidOption(f"edit.method = {edit.method!r} is no closed form: there is no ridge to search")
        return cls(
            tuple(edit.layers), edit.z_layer, options.ridge,
            values.learning_rate, values.clamp, values.stop_at, values.steps,
            options.alpha if isinstance(options, MomentOptions) else None,
        )  # fmt: skip

    @property
    def regulariser(self) -> str:
        """The coordinate that regularises the closed form: α if the method has it, else λ."""
        return "ridge" if self.alpha is None else "alpha"

    def apply_to(self, spec: RunSpec) -> RunSpec:
        """The spec at this point, validated like a file. Raises InvalidOption or pydantic's ValidationError."""
        edited = {
            "layers": list(self.layers),
            "z_layer": self.z_layer,
            self.regulariser: getattr(self, self.regulariser),
        }
        edit = EditSection.model_validate(spec.edit.model_dump() | edited)
        values = replace(
            spec.target_values,
            learning_rate=self.learning_rate, clamp=self.clamp, stop_at=self.stop_at, steps=self.steps,
        )  # fmt: skip
        return spec.model_copy(update={"edit": edit, "target_values": values})


@dataclass(frozen=True)
class Sweep:
    """A sweep over one coordinate: the settings to try, given the best one so far."""

    name: str
    varies: tuple[str, ...]
    propose: Callable[[Setting], Iterable[Setting]]


def window(depth: int, centre: float, width: int) -> tuple[int, ...]:
    """`width` layers around a centre, shifted into 0…depth − 2 if needed; at most a third of the depth.

    The last layer is never included: no later layer reads the changed representation of a subject.
    """
    usable = max(1, depth - 1)
    width = min(width, max(1, depth // 3))
    first = min(max(0, round(centre * depth - (width - 1) / 2)), usable - width)
    return tuple(range(first, first + width))


def candidates(depth: int, fixed: Iterable[str], setting: Setting, search_range: SearchRange = PLAIN) -> list[int]:
    """Every layer that the search may edit, ascending; their spectra are measured."""
    if "layers" in fixed:
        return list(setting.layers)
    found = {layer for centre in CENTRES for width in search_range.widths for layer in window(depth, centre, width)}
    shifted = {layer + step for layer in found for step in (-1, 1)}  # the finer sweep shifts a window by one
    return sorted(layer for layer in found | shifted if 0 <= layer < max(1, depth - 1))


def with_layers(setting: Setting, layers: tuple[int, ...]) -> Setting:
    """The setting with other layers; target values are optimised at the last of them."""
    return replace(setting, layers=layers, z_layer=layers[-1])


def sweeps(
    depth: int, fixed: Iterable[str], search_range: SearchRange = PLAIN, regulariser: str = "ridge"
) -> list[Sweep]:
    """The sweeps in the order of their usual effect, then finer steps; without those that vary a `fixed` coordinate."""
    every = [
        # λ and α are weighed against squared keys, whose scale depends on the model: if they are far off, no other
        # coordinate matters.
        _factors(regulariser, 0.1, 0.01, 10.0),
        Sweep("centre", ("layers",), partial(_centres, depth, search_range)),
        Sweep("width", ("layers",), partial(_widths, depth, search_range)),
        _values("clamp", *search_range.clamps[1:]),
        Sweep("stop", ("stop_at", "steps"), lambda s: [replace(s, stop_at=0.3, steps=20)]),
        _values("learning_rate", 0.2, 0.1),
        _factors("clamp", 0.7, 1.4),
        Sweep("shift", ("layers",), partial(_shifted, depth)),
        _factors(regulariser, 3.0, 1 / 3),
        _factors("learning_rate", 0.7, 1.4),
    ]
    return [one for one in every if not set(one.varies) & set(fixed)]


def proposals(start: Setting, sweeps: Iterable[Sweep]) -> Generator[tuple[str, Setting], float, None]:
    """Yield (name of the sweep, setting), each once; receive its objective and continue from the best so far."""
    best, value = start, (yield "start", start)
    tried = {start}
    for sweep in sweeps:
        for setting in list(sweep.propose(best)):
            if setting in tried:
                continue
            tried.add(setting)
            objective = yield sweep.name, setting
            if objective > value:
                best, value = setting, objective


def check_fixed(fixed: Iterable[str]) -> None:
    """Raise BadSpec for a fixed z layer without fixed layers."""
    if "z_layer" in fixed and "layers" not in fixed:
        raise BadSpec("--set edit.z_layer: the search sets it to the last edited layer; set edit.layers too")


def _centres(depth: int, search_range: SearchRange, best: Setting) -> list[Setting]:
    return [with_layers(best, window(depth, centre, search_range.widths[0])) for centre in CENTRES]


def _widths(depth: int, search_range: SearchRange, best: Setting) -> list[Setting]:
    centre = (best.layers[0] + best.layers[-1]) / 2 / depth
    return [with_layers(best, window(depth, centre, width)) for width in search_range.widths]


def _shifted(depth: int, best: Setting) -> list[Setting]:
    moved = (tuple(layer + step for layer in best.layers) for step in (-1, 1))
    return [with_layers(best, layers) for layers in moved if layers[0] >= 0 and layers[-1] < max(1, depth - 1)]


def _values(name: str, *values: float) -> Sweep:
    return Sweep(name, (name,), lambda best: [_with(best, name, value) for value in values])


def _factors(name: str, *factors: float) -> Sweep:
    def propose(best: Setting) -> list[Setting]:
        return [_with(best, name, float(f"{getattr(best, name) * factor:.2g}")) for factor in factors]

    return Sweep(name, (name,), propose)


def _with(setting: Setting, name: str, value: float) -> Setting:
    changed: dict[str, Any] = {name: value}
    return replace(setting, **changed)
