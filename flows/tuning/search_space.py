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
"""Where a window of layers is centred, as a share of the depth. Causal tracing (ROME, arXiv 2202.05262, §2.2) finds
facts early to middle; MEMIT, AlphaEdit and their code edit around 0.19 (Llama 3 8B), 0.20 (GPT-J), 0.32 (GPT-2 XL)."""


@dataclass(frozen=True)
class SearchRange:
    """How wide a window of layers may be, and which clamps are tried; the scan starts with the first of each."""

    widths: tuple[int, ...]
    clamps: tuple[float, ...]

    @classmethod
    def of(cls, model_type: str) -> SearchRange:
        """Of an architecture: behind a norm, target values hold for one layer, and its length is forgotten."""
        return PLAIN if family_of(model_type).norm_after is None else NORMED


PLAIN = SearchRange((5, 1, 3, 6), (0.75, 0.4, 1.2))
"""Five or six layers are published. None is wider than a third of the depth: shallow models have their facts in few
layers."""
NORMED = SearchRange((1,), (2.0, 1.0, 4.0))
SCANNED = {
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
    """One point of the scan; the fields are keys of `[edit]` and `[target_values]`."""

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
        """The point of a spec; `alpha` is None for a method without it."""
        edit, values, options = spec.edit, spec.target_values, spec.edit.options
        if not isinstance(options, ClosedFormOptions):
            raise InvalidOption(f"edit.method = {edit.method!r} solves no closed form: there is no ridge to search")
        return cls(
            tuple(edit.layers), edit.z_layer, options.ridge,
            values.learning_rate, values.clamp, values.stop_at, values.steps,
            options.alpha if isinstance(options, MomentOptions) else None,
        )  # fmt: skip

    @property
    def regulariser(self) -> str:
        """The coordinate of what the closed form weighs a change against: λ, or α where the method has one."""
        return "ridge" if self.alpha is None else "alpha"

    def on(self, spec: RunSpec) -> RunSpec:
        """The spec at this point, checked as one that was read. Raises InvalidOption or pydantic's ValidationError."""
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
    """One coordinate's turn: what to try beside the best setting so far."""

    name: str
    turns: tuple[str, ...]
    offers: Callable[[Setting], Iterable[Setting]]


def window(depth: int, centre: float, width: int) -> tuple[int, ...]:
    """`width` layers around a place, moved into 0…depth − 2 where they would stand out; at most a third of the depth.

    The last layer is left out: behind it nothing reads what a subject has become.
    """
    usable = max(1, depth - 1)
    width = min(width, max(1, depth // 3))
    first = min(max(0, round(centre * depth - (width - 1) / 2)), usable - width)
    return tuple(range(first, first + width))


def candidates(depth: int, fixed: Iterable[str], setting: Setting, reach: SearchRange = PLAIN) -> list[int]:
    """Every layer that the scan may edit, ascending: what spectra are wanted of."""
    if "layers" in fixed:
        return list(setting.layers)
    found = {layer for centre in CENTRES for width in reach.widths for layer in window(depth, centre, width)}
    more = {layer + step for layer in found for step in (-1, 1)}  # by which the finer round moves a window
    return sorted(layer for layer in found | more if 0 <= layer < max(1, depth - 1))


def at(setting: Setting, layers: tuple[int, ...]) -> Setting:
    """The same with other layers; target values are sought at the last of them."""
    return replace(setting, layers=layers, z_layer=layers[-1])


def rounds(depth: int, fixed: Iterable[str], reach: SearchRange = PLAIN, hold: str = "ridge") -> list[Sweep]:
    """The coordinates in the order of what they usually decide, then finer steps; none that turns what is `fixed`."""
    every = [
        # λ and α weigh against squared keys, whose scale is the model's own: where it is far off, nothing else shows.
        _factors(hold, 0.1, 0.01, 10.0),
        Sweep("centre", ("layers",), partial(_centres, depth, reach)),
        Sweep("width", ("layers",), partial(_widths, depth, reach)),
        _values("clamp", *reach.clamps[1:]),
        Sweep("stop", ("stop_at", "steps"), lambda s: [replace(s, stop_at=0.3, steps=20)]),
        _values("learning_rate", 0.2, 0.1),
        _factors("clamp", 0.7, 1.4),
        Sweep("shift", ("layers",), partial(_shifted, depth)),
        _factors(hold, 3.0, 1 / 3),
        _factors("learning_rate", 0.7, 1.4),
    ]
    return [one for one in every if not set(one.turns) & set(fixed)]


def proposals(start: Setting, scan: Iterable[Sweep]) -> Generator[tuple[str, Setting], float, None]:
    """(what was changed, setting), each once; receives the objective of each, and continues from the best so far."""
    best, value = start, (yield "start", start)
    tried = {start}
    for turn in scan:
        for setting in list(turn.offers(best)):
            if setting in tried:
                continue
            tried.add(setting)
            found = yield turn.name, setting
            if found > value:
                best, value = setting, found


def refuse_half(fixed: Iterable[str]) -> None:
    """BadSpec for a z layer without the layers that it belongs to."""
    if "z_layer" in fixed and "layers" not in fixed:
        raise BadSpec("--set edit.z_layer: the scan seeks target values at the last edited layer; set edit.layers too")


def _centres(depth: int, reach: SearchRange, best: Setting) -> list[Setting]:
    return [at(best, window(depth, centre, reach.widths[0])) for centre in CENTRES]


def _widths(depth: int, reach: SearchRange, best: Setting) -> list[Setting]:
    centre = (best.layers[0] + best.layers[-1]) / 2 / depth
    return [at(best, window(depth, centre, width)) for width in reach.widths]


def _shifted(depth: int, best: Setting) -> list[Setting]:
    moved = (tuple(layer + step for layer in best.layers) for step in (-1, 1))
    return [at(best, layers) for layers in moved if layers[0] >= 0 and layers[-1] < max(1, depth - 1)]


def _values(name: str, *values: float) -> Sweep:
    return Sweep(name, (name,), lambda best: [_with(best, name, value) for value in values])


def _factors(name: str, *factors: float) -> Sweep:
    def offers(best: Setting) -> list[Setting]:
        return [_with(best, name, float(f"{getattr(best, name) * factor:.2g}")) for factor in factors]

    return Sweep(name, (name,), offers)


def _with(setting: Setting, name: str, value: float) -> Setting:
    changed: dict[str, Any] = {name: value}
    return replace(setting, **changed)
