"""Properties of every method in the registry; each test has a control that breaks the property."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import pytest
import torch
from oracle import literal
from support.method_cases import CASES, Case, Problem, finisher, knowledge, solvers_of
from support.tiny_words import facts_of
from torch import Tensor

from editflow.editing.editors.batch import edit_batch
from editflow.editing.editors.facts import Fact
from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.methods import METHODS, method, parse_options
from editflow.editing.editors.options import MethodOptions, TargetValueOptions
from editflow.editing.editors.target_values import TargetValue, optimise
from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.projected_ridge import LowRank
from editflow.editing.models.editable import EditableModel
from editflow.editing.requests.record import EditRequest
from editflow.tasks.stages.settings import recipe

pytestmark = pytest.mark.slow

LAYERS, Z_LAYER = [0, 1, 2], 2
OPTIONS = TargetValueOptions(learning_rate=0.3, steps=12, stop_at=1.2, tokens_per_pass=80)

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
on_two_architectures = pytest.mark.parametrize(
    "tiny",
    ["gpt2", "llama", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("gptj", "mistral"))],
    indirect=True,
)
"""Both orientations of weights in `make test`; the other architectures of `tiny` in `make test-rest`."""
TOGETHER = {name: case for name, case in CASES.items() if case.facts is None}
"""The cases that write several facts at once."""


def edited(
    case: Case, model: EditableModel, known: dict[int, LayerStatistics], facts: list[Fact], values: list[TargetValue]
) -> dict[int, Tensor]:
    """Edit one batch and return Δ by layer; the model stays edited."""
    before = {layer: model.weight(layer).clone() for layer in known}
    edit_batch(model, facts, values, solvers_of(case, known), Z_LAYER, finisher(case, known))
    return {layer: model.weight(layer) - before[layer] for layer in known}


def layers_of(case: Case) -> list[int]:
    return LAYERS if case.facts is None else [Z_LAYER]


def test_every_method_has_a_case() -> None:
    """Training methods are tested in test_ft."""
    solved = {name for name, one in METHODS.items() if isinstance(one, ClosedForm)}
    assert {case.name for case in CASES.values()} == solved
    assert set(METHODS) - solved == {"ft"}


@on_two_architectures
@each_case
def test_batches_equal_the_literal_formula(tiny: EditableModel, requests: list[EditRequest], case: Case) -> None:
    """Two batches on every architecture, the second with keys of the first."""
    known = knowledge(tiny, layers_of(case))
    solvers = solvers_of(case, known)
    twin = copy.deepcopy(tiny.model)
    blocks = twin.base_model.get_submodule(tiny.family.layers)
    modules = {n: blocks[n].get_submodule(tiny.family.down_projection) for n in known}
    previous: dict[int, Tensor | None] = dict.fromkeys(known)

    def solve(layer: int, R: Tensor, K1: Tensor, W: Tensor) -> Tensor:
        of = known[layer]
        return case.formula(
            Problem(
                R,
                K1,
                previous[layer],
                of.required_second_moment,
                of.required_null_space.matrix(),
                W,
                of.original_weight,
            )
        )

    size = case.facts or 3
    for part in (requests[:size], requests[size : 2 * size]):
        facts = facts_of(tiny, part)
        values = optimise(tiny, Z_LAYER, facts, OPTIONS)
        before = {layer: tiny.weight(layer).clone() for layer in known}
        edits = edit_batch(tiny, facts, values, solvers, Z_LAYER, finisher(case, known))
        book = [
            literal.Fact([row.ids for row in fact.rows], [row.lookup for row in fact.rows], value.z)
            for fact, value in zip(facts, values, strict=True)
        ]
        wanted = literal.edit_batch(
            twin, modules, dict(enumerate(blocks)), book, {}, {}, Z_LAYER, 0.0, tiny.family.transposed, solve
        )
        for layer, (delta, K1) in wanted.items():
            assert torch.allclose(edits[layer].keys, K1, atol=1e-8)
            # A target outside the window of its subject's last token leaves z* = h, and nothing to change.
            assert float((tiny.weight(layer) - before[layer] - delta).norm()) < 1e-7 * float(delta.norm()) + 1e-12
            earlier = previous[layer]
            previous[layer] = K1 if earlier is None else torch.cat([earlier, K1], dim=1)


@each_case
def test_a_batch_is_finite_and_moves_its_facts_towards_their_targets(
    llama: EditableModel, requests: list[EditRequest], case: Case
) -> None:
    known = knowledge(llama, layers_of(case))
    facts = facts_of(llama, requests[: case.facts])
    values = optimise(llama, Z_LAYER, facts, OPTIONS)
    before = gap(llama, facts, values)
    deltas = edited(case, llama, known, facts, values)
    assert all(bool(torch.isfinite(delta).all()) and float(delta.norm()) > 0 for delta in deltas.values())
    assert gap(llama, facts, values) < 0.98 * before
    for layer, delta in deltas.items():  # control: the same changes the other way round lead away
        llama.replace(layer, llama.weight(layer) - 2 * delta)
    assert gap(llama, facts, values) > before


def gap(model: EditableModel, facts: list[Fact], values: list[TargetValue]) -> float:
    """‖z* − h‖ over all facts, with the current weights."""
    from editflow.editing.editors.keys import KeyWalk

    with torch.no_grad():
        reached = KeyWalk(model, facts, 0).outputs(Z_LAYER)
    return float((torch.stack([value.z for value in values], dim=1) - reached).norm())


@each_case
def test_zero_residuals_give_no_change(llama: EditableModel, case: Case) -> None:
    known = knowledge(llama, [Z_LAYER])[Z_LAYER]
    solver = case.method.solver(known, case.options)
    n = case.facts or 4
    keys, weight = torch.randn(64, n, dtype=torch.float64), known.original_weight
    for residuals, still in ((torch.zeros(32, n), True), (torch.ones(32, n), False)):
        change = solver.update(residuals.double(), keys)
        written = case.method.finish(change, weight, known, case.options)
        assert torch.equal(applied(weight, written), weight) is still


def applied(weight: Tensor, change: LowRank | Tensor) -> Tensor:
    return weight + change.dense() if isinstance(change, LowRank) else change


@pytest.mark.parametrize("case", TOGETHER.values(), ids=TOGETHER)
def test_order_of_facts_does_not_matter(llama: EditableModel, requests: list[EditRequest], case: Case) -> None:
    twin = EditableModel(copy.deepcopy(llama.model), llama.tokenizer, llama.family)
    facts = facts_of(llama, requests)
    values = optimise(llama, Z_LAYER, facts, OPTIONS)
    straight = edited(case, llama, knowledge(llama, LAYERS), facts, values)
    turned = edited(case, twin, knowledge(twin, LAYERS), facts[::-1], values[::-1])
    for layer in LAYERS:
        assert torch.allclose(straight[layer], turned[layer], rtol=1e-6, atol=1e-9)
    other = EditableModel(copy.deepcopy(llama.model), llama.tokenizer, llama.family)
    mixed = edited(case, other, knowledge(other, LAYERS), facts, values[::-1])
    assert not torch.allclose(straight[2], mixed[2], rtol=1e-3)  # control: values that lost their facts


@pytest.mark.parametrize("name", METHODS)
def test_a_recipe_contains_every_option_that_changes_the_result(name: str) -> None:
    """Every option of a method changes its recipe; other options are refused."""
    chosen = METHODS[name]
    plain = recipe(chosen.options())
    for option in sorted({f.name for other in METHODS.values() for f in fields(other.options)}):
        if option not in chosen.option_names:
            with pytest.raises(InvalidOption, match=f"edit.{option} is no option of {name}.*takes it"):
                parse_options(name, {option: 1.0})
            continue
        usual = getattr(chosen.options(), option)
        assert recipe(_with_another_value(name, option, usual)) != plain
        assert recipe(parse_options(name, {option: usual})) == plain


def _with_another_value(name: str, option: str, usual: Any) -> MethodOptions:
    """The method's options with the first other value of this option that it accepts."""
    for other in [not usual] if isinstance(usual, bool) else [usual + 0.5, usual * 2, usual / 2]:
        try:
            return parse_options(name, {option: other})
        except InvalidOption:
            continue
    raise AssertionError(f"{name} accepts no value of {option} but {usual}")


@pytest.mark.parametrize(
    ("given", "word"),
    [({"rigde": 1.0}, "ridge"), ({"ridge": "much"}, "ridge"), ({"alpha": 1.0}, "memit")],
)
def test_an_invalid_option_is_named(given: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidOption, match=word):
        parse_options("alphaedit", given)
    assert parse_options("alphaedit", {"ridge": 1}) == parse_options("alphaedit", {"ridge": 1.0}), "the control"


def test_unknown_methods_are_named() -> None:
    with pytest.raises(InvalidOption, match="unknown method 'rome2': choose one of alphaedit, "):
        method("rome2")
