"""Every method with some of its options and the formula that it must equal, for tests over the method registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from oracle import literal, methods
from torch import Tensor

from editflow.editing.editors.batch import Solver
from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.methods import method, parse_options
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.spectrum import decompose
from editflow.editing.linalg.threshold import Threshold
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.moments import second_moments

ALPHA = 20.0
"""MEMIT's α for the few keys of a tiny model; it corresponds to 15000 for a real one."""


@dataclass(frozen=True)
class Problem:
    """The inputs of a formula: residuals, keys, earlier keys or None, C0, P, the current and the original weight."""

    R: Tensor
    K1: Tensor
    Kp: Tensor | None
    C0: Tensor
    P: Tensor
    W: Tensor
    W0: Tensor


Formula = Callable[[Problem], Tensor]


@dataclass(frozen=True)
class Case:
    """A method, its options, the formula of its Δ, and the number of facts per batch (None: any)."""

    name: str
    formula: Formula
    given: dict[str, Any] = field(default_factory=dict)
    facts: int | None = None

    @property
    def method(self) -> ClosedForm[Any]:
        found = method(self.name)
        assert isinstance(found, ClosedForm)
        return found

    @property
    def options(self) -> Any:
        return parse_options(self.name, self.given)


def memit(p: Problem, *, lam: float = 0.0, held: bool = False) -> Tensor:
    return methods.memit_delta(p.R, p.K1, p.Kp if held else None, p.C0, ALPHA, lam)


CASES = {
    "alphaedit": Case("alphaedit", lambda p: literal.alphaedit_delta(p.R, p.K1, p.Kp, p.P, 1.0)),
    "alphaedit, filtered": Case(
        "alphaedit",
        lambda p: methods.filtered_delta(literal.alphaedit_delta(p.R, p.K1, p.Kp, p.P, 1.0), p.W0, 0.3),
        {"protected_energy": 0.3},
    ),
    "memit": Case("memit", memit, {"alpha": ALPHA}),
    "memit with λ": Case("memit", lambda p: memit(p, lam=3.0), {"alpha": ALPHA, "ridge": 3.0}),
    "memit with previous keys": Case("memit", lambda p: memit(p, held=True), {"alpha": ALPHA, "previous_keys": True}),
    "memit, projected": Case(
        "memit", lambda p: methods.projected_delta(memit(p), p.P), {"alpha": ALPHA, "projected": True}
    ),
    "rome": Case("rome", lambda p: methods.rome_delta(p.R[:, 0], p.K1[:, 0], p.C0, 0.0), facts=1),
    "rome with λ": Case(
        "rome", lambda p: methods.rome_delta(p.R[:, 0], p.K1[:, 0], p.C0, 2.0), {"ridge": 2.0}, facts=1
    ),
    "rect": Case("rect", lambda p: methods.rect_delta(memit(p), p.W, 0.4), {"alpha": ALPHA}),
    "rect, projected": Case(
        "rect",
        lambda p: methods.rect_delta(methods.projected_delta(memit(p), p.P), p.W, 0.7),
        {"alpha": ALPHA, "projected": True, "keep_fraction": 0.7},
    ),
    "rect, filtered and projected": Case(  # in this order, because they do not commute
        "rect",
        lambda p: methods.rect_delta(
            methods.projected_delta(methods.filtered_delta(memit(p), p.W0, 0.3), p.P), p.W, 0.7
        ),
        {"alpha": ALPHA, "protected_energy": 0.3, "projected": True, "keep_fraction": 0.7},
    ),
    "prune": Case("prune", lambda p: methods.prune_weight(p.W, memit(p), p.W0, 1.2) - p.W, {"alpha": ALPHA}),
    "prune, projected": Case(
        "prune",
        lambda p: methods.prune_weight(p.W, methods.projected_delta(memit(p), p.P), p.W0, 1.2) - p.W,
        {"alpha": ALPHA, "projected": True},
    ),
    "prune with previous keys": Case(
        "prune",
        lambda p: methods.prune_weight(p.W, memit(p, held=True), p.W0, 3.0) - p.W,
        {"alpha": ALPHA, "previous_keys": True, "log_base": 3.0},
    ),
}
"""The cases by name."""


def knowledge(model: EditableModel, layers: list[int]) -> dict[int, LayerStatistics]:
    """Layer statistics of a model, from a few random windows."""
    windows = [torch.randint(2, 70, (20,), generator=torch.Generator().manual_seed(n)).tolist() for n in range(12)]
    means = {layer: moment.mean() for layer, moment in second_moments(model, layers, windows, 64).items()}
    spaces = {n: NullSpace.from_spectrum(decompose(mean), Threshold("rank", 0.6)) for n, mean in means.items()}
    return {n: LayerStatistics(spaces[n], means[n], model.weight(n).clone()) for n in layers}


def solvers_of(case: Case, known: dict[int, LayerStatistics]) -> dict[int, Solver]:
    """The method's solver for each layer."""
    return {layer: case.method.solver(known[layer], case.options) for layer in known}


def finisher(case: Case, known: dict[int, LayerStatistics]) -> Callable[[int, Any, Tensor], Any]:
    """The method's post-processing of a layer's change."""
    return lambda layer, change, weight: case.method.finish(change, weight, known[layer], case.options)
