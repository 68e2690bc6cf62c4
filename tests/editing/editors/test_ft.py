"""Constrained fine-tuning equals the literal loop, stays within its bound, and stops early."""

from __future__ import annotations

import copy
from dataclasses import asdict

import pytest
import torch
from oracle import methods
from support.tiny_words import facts_of
from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.fine_tuning import fine_tune
from editflow.editing.editors.ft import FtOptions
from editflow.editing.errors import NonFinite
from editflow.editing.models.editable import EditableModel
from editflow.editing.requests.record import EditRequest

LAYERS = [1, 2]
OPTIONS = FtOptions(learning_rate=0.02, steps=4, stop_at=0.01, max_change=0.05)


def literally(model: EditableModel, facts: list[Fact], options: FtOptions) -> list[float]:
    """Run the literal loop on the model and return its losses."""
    modules = [model.down_projection(layer) for layer in LAYERS]
    book = [(fact.rows[0].ids, fact.rows[0].target) for fact in facts]
    return methods.fine_tune(
        model.model, modules, book, lr=options.learning_rate, steps=options.steps, eps=options.max_change,
        stop_at=options.stop_at,
    )  # fmt: skip


def twin(model: EditableModel) -> EditableModel:
    return EditableModel(copy.deepcopy(model.model), model.tokenizer, model.family)


def moved(model: EditableModel, facts: list[Fact], options: FtOptions) -> dict[int, Tensor]:
    """ΔW by layer."""
    before = {layer: model.weight(layer).clone() for layer in LAYERS}
    after = fine_tune(model, LAYERS, facts, **asdict(options))
    return {layer: after[layer] - before[layer] for layer in LAYERS}


def test_it_equals_the_literal_loop(tiny: EditableModel, requests: list[EditRequest]) -> None:
    facts, other = facts_of(tiny, requests), twin(tiny)
    losses = literally(other, facts, OPTIONS)
    new = fine_tune(tiny, LAYERS, facts, **asdict(OPTIONS))
    assert losses[-1] < losses[0] - 0.5
    for layer in LAYERS:
        assert torch.equal(new[layer], tiny.weight(layer))
        assert float((new[layer] - other.weight(layer)).norm()) < 1e-8 * float(other.weight(layer).norm())
    for name, tensor in tiny.model.state_dict().items():  # and nothing else is touched
        assert torch.allclose(tensor, other.model.state_dict()[name], atol=1e-8), name
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in tiny.model.parameters())


def test_no_weight_changes_by_more_than_the_maximum(llama: EditableModel, requests: list[EditRequest]) -> None:
    facts = facts_of(llama, requests)
    free = FtOptions(learning_rate=0.02, steps=4, stop_at=0.01, max_change=1e9)
    largest = [max(float(d.abs().max()) for d in moved(twin(llama), facts, how).values()) for how in (OPTIONS, free)]
    assert largest[0] == pytest.approx(OPTIONS.max_change)
    assert largest[1] > 1.1 * OPTIONS.max_change


def test_it_stops_when_the_loss_is_below_the_limit(llama: EditableModel, requests: list[EditRequest]) -> None:
    """Known facts need no training; with a lower limit they take one step."""
    facts = facts_of(llama, requests)
    losses = literally(twin(llama), facts, OPTIONS)
    at_once = FtOptions(learning_rate=0.02, steps=4, stop_at=losses[0] + 1e-9, max_change=0.05)
    after_one = FtOptions(learning_rate=0.02, steps=4, stop_at=losses[1] + 1e-9, max_change=0.05)
    one_step = FtOptions(learning_rate=0.02, steps=1, stop_at=0.0, max_change=0.05)
    assert all(float(delta.abs().max()) == 0 for delta in moved(twin(llama), facts, at_once).values())
    once, stopped = moved(twin(llama), facts, one_step), moved(twin(llama), facts, after_one)
    assert all(torch.equal(once[layer], stopped[layer]) and float(once[layer].norm()) > 0 for layer in LAYERS)


def test_order_of_facts_does_not_matter(llama: EditableModel, requests: list[EditRequest]) -> None:
    facts = facts_of(llama, requests)
    straight, turned = (moved(twin(llama), order, OPTIONS) for order in (facts, facts[::-1]))
    fewer = moved(twin(llama), facts[:-1], OPTIONS)
    for layer in LAYERS:
        assert torch.allclose(straight[layer], turned[layer], atol=1e-8)
        assert not torch.allclose(straight[layer], fewer[layer], atol=1e-4)  # control


def test_a_loss_that_is_not_finite_is_reported(llama: EditableModel, requests: list[EditRequest]) -> None:
    llama.weight(LAYERS[0]).fill_(torch.nan)
    with pytest.raises(NonFinite, match="loss is nan.*edit.learning_rate"):
        fine_tune(llama, LAYERS, facts_of(llama, requests), **asdict(OPTIONS))
