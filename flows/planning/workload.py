"""Inputs of the cost table: sizes of model and facts, what a stage is asked for, and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from editflow.flows.spec.run_spec import RunSpec
from editflow.tasks.stages.settings import Settings

DOUBLE = 8
"""Bytes of a float64, in which all matrices are kept."""
TEXT = 5
"""Bytes of text a token."""
ROW = 40
"""Bytes of a row of names and numbers, compressed."""
FILE = 1_500
"""Bytes of an artifact beside its rows."""
WIDE = 2_500
"""The same of one with many columns."""
PARSED = 100
"""Bytes that are read and written in the time in which one of a corpus' text is parsed."""
DOCUMENT = 13_000
"""Bytes of a document, compressed: the mean of the packaged sample."""
MOMENT = 6.5
"""Bytes of a sum of products of narrower numbers in float64, compressed: it has a bit more for every doubling."""


@dataclass(frozen=True)
class Scale:
    """Model and facts as the table needs them.

    `widths` is (d_out, d_in) of every layer; `asked` prompts a fact by metric; `prompt` and `target` are mean tokens of
    the facts' prompts and new targets; `corpus` the bytes of its file, infinite where that is not known.
    """

    spec: RunSpec
    blocks: int
    head: int
    element: int
    widths: Sequence[tuple[int, int]]
    tensors: int
    asked: Mapping[str, float]
    prompt: float
    target: float
    corpus: float

    @property
    def layers(self) -> list[int]:
        """The edited layers."""
        return self.spec.edit.layers

    def passes(self, tokens: float, first: int = 0, last: int | None = None) -> float:
        """Operations of a forward pass through layers `first` to `last`; with the head where `last` is None."""
        depth = len(self.widths)
        share = ((depth if last is None else last + 1) - first) / depth
        return 2 * tokens * (self.blocks * share + (self.head if last is None else 0))

    def squares(self, layers: Sequence[int]) -> float:
        """Σ d² of layers."""
        return float(sum(self.widths[layer][1] ** 2 for layer in layers))

    def weights(self, layers: Sequence[int]) -> float:
        """Σ d_out·d_in of layers."""
        return float(sum(self.widths[layer][0] * self.widths[layer][1] for layer in layers))

    @property
    def widened(self) -> float:
        """Bytes of a number of the model's type that is kept as float64, compressed: its last bits are zero."""
        return min(DOUBLE, self.element + 0.7)

    @property
    def moment(self) -> float:
        """Bytes of an entry of a second moment."""
        return MOMENT if self.element < DOUBLE else DOUBLE

    def logits(self, tokens: float) -> float:
        """Bytes of the logits of so many tokens, three times over: given, as log-probabilities, a step between."""
        return 3 * 4 * tokens * self.head / self.widths[0][0]


@dataclass(frozen=True)
class StageCost:
    """`rows` and `bytes` of the artifact; `model` operations in the model's dtype, `exact` ones in float64; `memory`
    bytes that the stage holds beside the model; `moved` bytes that are read and written."""

    rows: float
    bytes: float
    model: float = 0.0
    exact: float = 0.0
    memory: float = 0.0
    moved: float = 0.0


@dataclass(frozen=True)
class StageInputs(Generic[Settings]):
    """A stage as it is asked for: its settings, and by role the row counts of its parents."""

    scale: Scale
    settings: Settings
    parents: Mapping[str, Sequence[float]]

    def rows(self, role: str) -> float:
        """Of all parents in a role together; 0 where there is none."""
        return sum(self.parents.get(role, ()))
