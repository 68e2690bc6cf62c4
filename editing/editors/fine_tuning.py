"""The training loop of fine-tuning with a norm constraint; ft.py declares the method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.errors import NonFinite
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, capture, run
from editflow.editing.models.lm_head import Nll, losses_and_gradients

ROWS_PER_PASS = 32
"""Facts per forward pass; bounds memory. It changes the last bits, so it is part of the stage's version."""


@dataclass(frozen=True)
class _Pass:
    """Plain prompts with their targets, and the input of the lowest edited layer (None if that is layer 0).

    `row`, `position`, `token` and `weight` (M,) say where the loss reads, the expected token, and its share.
    """

    rows: PaddedBatch
    entering: Tensor | None
    row: Tensor
    position: Tensor
    token: Tensor
    weight: Tensor


def fine_tune(
    model: EditableModel, layers: Sequence[int], facts: Sequence[Fact],
    *, learning_rate: float, steps: int, stop_at: float, max_change: float,
) -> dict[int, Tensor]:  # fmt: skip
    """Train the layers' down-projections in place and return the new weights (d_out, d_in) by layer.

    The loss is the mean over facts of the mean NLL of the target's tokens after the plain prompt. Adam updates all
    layers together. It stops after `steps` steps, or when the loss is below `stop_at`. After each step, every weight
    is clamped to within `max_change` of its start. Raises NonFinite.
    """
    start = {layer: model.weight(layer).clone() for layer in layers}
    # At least float32 even for a narrower model: bfloat16 cannot resolve the steps.
    wide = {n: torch.promote_types(W.dtype, torch.float32) for n, W in start.items()}
    moved = {n: torch.zeros_like(W, dtype=wide[n], memory_format=torch.contiguous_format) for n, W in start.items()}
    adam = torch.optim.Adam(list(moved.values()), lr=learning_rate)
    parts = [facts[i : i + ROWS_PER_PASS] for i in range(0, len(facts), ROWS_PER_PASS)]
    passes = [_prepare_pass(model, min(layers), part, len(facts)) for part in parts]
    for _ in range(steps):
        with _trainable(model, layers):
            loss = sum(_backward(model, min(layers), one) for one in passes)
            for layer in layers:
                moved[layer].grad = _gradient(model, layer).to(wide[layer])
        if not loss < float("inf"):
            raise NonFinite(f"the loss is {loss}: check the model's weights, or lower edit.learning_rate")
        if loss < stop_at:
            break
        adam.step()
        for layer in layers:
            moved[layer].clamp_(-max_change, max_change)
            model.replace(layer, start[layer].to(wide[layer]) + moved[layer])
    return {layer: model.weight(layer).clone() for layer in layers}


@torch.no_grad()
def _prepare_pass(model: EditableModel, first: int, facts: Sequence[Fact], total: int) -> _Pass:
    """Run the layers below `first`, the lowest edited one, once. `total` is the number of facts in the batch."""
    plain = [fact.rows[0] for fact in facts]
    rows = PaddedBatch.pad([[*row.ids, *row.target[:-1]] for row in plain], model.device)
    entering = None
    if first > 0:
        with capture(model.layers[first - 1], inputs=False) as seen:
            run(model, rows, last=first - 1)
        entering = seen[0]
    flat = [
        (i, len(row.ids) - 1 + j, token, total * len(row.target))
        for i, row in enumerate(plain)
        for j, token in enumerate(row.target)
    ]
    row, position, token, share = (torch.tensor(column, device=model.device) for column in zip(*flat, strict=True))
    return _Pass(rows, entering, row, position, token, 1 / share.double())


def _backward(model: EditableModel, first: int, one: _Pass) -> float:
    """Return the pass's share of the loss and add its gradients to the weights' gradients."""
    final = run(model, one.rows, entering=None if one.entering is None else (first, one.entering))
    states = final[one.row, one.position]
    each, gradient = losses_and_gradients(model, states, Nll(one.token))
    states.backward(gradient * one.weight.to(gradient.dtype)[:, None])  # type: ignore[no-untyped-call]
    return float((each.double() * one.weight).sum())


@contextmanager
def _trainable(model: EditableModel, layers: Sequence[int]) -> Iterator[None]:
    """Enable gradients of the layers' weights within the block."""
    weights = [model.down_projection(layer).get_parameter("weight") for layer in layers]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        with torch.enable_grad():
            yield
    finally:
        for weight in weights:
            weight.requires_grad_(False)
            weight.grad = None


def _gradient(model: EditableModel, layer: int) -> Tensor:
    """The weight's gradient in canonical orientation (d_out, d_in)."""
    gradient = cast(Tensor, model.down_projection(layer).get_parameter("weight").grad)
    return (gradient.T if model.family.transposed else gradient).clone()
