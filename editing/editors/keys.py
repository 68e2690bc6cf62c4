"""Keys of facts, read layer by layer while the layers are edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.editors.facts import Fact, Row
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, capture, run

ROWS_PER_PASS = 128
"""Rows per forward pass; bounds memory. It changes the last bits, so it is part of the stage's version."""


@dataclass
class _Pass:
    """Rows that end at the subject's last token, at index `lookups` (B,).

    `hidden` (B, T, d) is the input of the current layer; None means that the pass starts at the embedding.
    """

    rows: PaddedBatch
    lookups: Tensor
    hidden: Tensor | None = None


class KeyWalk:
    """Runs all rows of a batch's facts through the edited layers, from the lowest to the highest.

    A layer's key is the input of its down-projection at the subject's last token. The layers below the lowest edited
    one run once. Each edited layer runs once for its keys and once more, after its update, to reach the next one.
    """

    def __init__(self, model: EditableModel, facts: Sequence[Fact], first: int) -> None:
        """Start at layer `first` with the model's current weights."""
        self.model = model
        self.layer = first
        rows = [row for fact in facts for row in fact.rows]
        self._weights = _group_means(len(facts), len(facts[0].rows))
        self._passes = [self._cut(rows[i : i + ROWS_PER_PASS]) for i in range(0, len(rows), ROWS_PER_PASS)]
        self._plain = self._cut([fact.rows[0] for fact in facts])
        if first > 0:
            self.advance(first)

    def keys(self) -> Tensor:
        """Mean keys (d_in, n) float64 of the current layer: half plain prompt, half contexts."""
        module = self.model.down_projection(self.layer)
        read = []
        for part in self._passes:
            with capture(module, inputs=True) as seen:
                self._run(part, self.layer)
            read.append(_select_tokens(seen[0], part.lookups))
        return (self._weights @ torch.cat(read).to(self._weights)).T

    def outputs(self, z_layer: int) -> Tensor:
        """Current outputs (d_out, n) float64 to compare with target values, for the plain prompts."""
        with capture(self.model.target_module(z_layer), inputs=False) as seen:
            self._run(self._plain, z_layer)
        return _select_tokens(seen[0], self._plain.lookups).to("cpu", torch.float64).T

    def advance(self, layer: int) -> None:
        """Move to a higher layer, using the current weights of the layers below it."""
        for part in (*self._passes, self._plain):
            with capture(self.model.layers[layer - 1], inputs=False) as seen:
                self._run(part, layer - 1)
            part.hidden = seen[0]
        self.layer = layer

    def _cut(self, rows: Sequence[Row]) -> _Pass:
        padded = PaddedBatch.pad([row.ids[: row.lookup + 1] for row in rows], self.model.device)
        return _Pass(padded, torch.tensor([row.lookup for row in rows], device=self.model.device))

    def _run(self, part: _Pass, last: int) -> None:
        entering = None if part.hidden is None else (self.layer, part.hidden)
        run(self.model, part.rows, entering=entering, last=last)


def _select_tokens(hidden: Tensor, positions: Tensor) -> Tensor:
    """One position per row: (B, T, d) → (B, d)."""
    return hidden[torch.arange(len(positions), device=hidden.device), positions].cpu()


def _group_means(facts: int, rows: int) -> Tensor:
    """Weights (facts, facts·rows) float64 that average the plain prompt's key with the mean key of the contexts."""
    weights = torch.full((rows,), 0.5 / max(rows - 1, 1), dtype=torch.float64)
    weights[0] = 0.5 if rows > 1 else 1.0
    means: Tensor = torch.kron(torch.eye(facts, dtype=torch.float64), weights[None])
    return means
