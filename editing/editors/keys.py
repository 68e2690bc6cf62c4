"""Keys of facts, read layer by layer while the layers are being edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.editors.facts import Fact, Row
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, capture, run

ROWS_PER_PASS = 128
"""Rows that share one forward pass: bounds memory. Part of the stage's version, since it moves the last bits."""


@dataclass
class _Pass:
    """Rows cut after the subject's last token, and their hidden states (B, T, d) at the input of the current layer."""

    rows: PaddedBatch
    places: Tensor
    hidden: Tensor | None = None


class KeyWalk:
    """Climbs through the edited layers with all rows of a batch's facts.

    A layer's key is the input of its down-projection at the subject's last token. What is below the lowest edited layer
    runs once; each edited layer runs once for its keys and again, after its update, to reach the next.
    """

    def __init__(self, model: EditableModel, facts: Sequence[Fact], first: int) -> None:
        """Start at layer `first` with the model as it is now."""
        self.model = model
        self.layer = first
        rows = [row for fact in facts for row in fact.rows]
        self._weights = _group_means(len(facts), len(facts[0].rows))
        self._passes = [self._cut(rows[i : i + ROWS_PER_PASS]) for i in range(0, len(rows), ROWS_PER_PASS)]
        self._plain = self._cut([fact.rows[0] for fact in facts])
        if first > 0:
            for part in self._all():
                part.hidden = self._through(part, module_of=first - 1, inputs=False, last=first - 1)

    def keys(self) -> Tensor:
        """Mean keys (d_in, n) float64 of the current layer: half the plain prompt, half the contexts."""
        module = self.model.down_projection(self.layer)
        read = []
        for part in self._passes:
            with capture(module, inputs=True) as seen:
                self._run(part, self.layer)
            read.append(_rows_at(seen[0], part.places))
        return (self._weights @ torch.cat(read).to(self._weights)).T

    def outputs(self, z_layer: int) -> Tensor:
        """What target values are compared with (d_out, n): float64, at the plain prompts, with the weights of now."""
        with capture(self.model.target_place(z_layer), inputs=False) as seen:
            self._run(self._plain, z_layer)
        return _rows_at(seen[0], self._plain.places).to("cpu", torch.float64).T

    def climb(self, layer: int) -> None:
        """Go to a higher layer, with the weights below it as they are now."""
        for part in self._all():
            part.hidden = self._through(part, module_of=layer - 1, inputs=False, last=layer - 1)
        self.layer = layer

    def _all(self) -> list[_Pass]:
        return [*self._passes, self._plain]

    def _cut(self, rows: Sequence[Row]) -> _Pass:
        padded = PaddedBatch.pad([row.ids[: row.lookup + 1] for row in rows], self.model.device)
        return _Pass(padded, torch.tensor([row.lookup for row in rows], device=self.model.device))

    def _run(self, part: _Pass, last: int) -> None:
        entering = None if part.hidden is None else (self.layer, part.hidden)
        run(self.model, part.rows, entering=entering, last=last)

    def _through(self, part: _Pass, *, module_of: int, inputs: bool, last: int) -> Tensor:
        with capture(self.model.layers[module_of], inputs=inputs) as seen:
            self._run(part, last)
        return seen[0]


def _rows_at(hidden: Tensor, places: Tensor) -> Tensor:
    """(B, T, d) at one place a row: (B, d)."""
    return hidden[torch.arange(len(places), device=hidden.device), places].cpu()


def _group_means(facts: int, rows: int) -> Tensor:
    """(facts, facts·rows) float64: mean of the plain prompt's key and the mean key of the other contexts."""
    weights = torch.full((rows,), 0.5 / max(rows - 1, 1), dtype=torch.float64)
    weights[0] = 0.5 if rows > 1 else 1.0
    means: Tensor = torch.kron(torch.eye(facts, dtype=torch.float64), weights[None])
    return means
