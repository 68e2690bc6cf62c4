"""Inputs and outputs of the cost table: sizes of model and facts, the inputs of a stage, and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from editflow.flows.spec.run_spec import RunSpec
from editflow.tasks.stages.settings import Settings

DOUBLE = 8
"""Bytes of a float64, the type of all stored matrices."""
TEXT = 5
"""Bytes of text per token."""
ROW = 40
"""Bytes of a row of names and numbers, compressed."""
FILE = 1_500
"""Bytes of an artifact besides its rows."""
WIDE = 2_500
"""The same for an artifact with many columns."""
PARSED = 100
"""Bytes that are read or written in the time of parsing one byte of a corpus."""
DOCUMENT = 13_000
"""Bytes of a document, compressed: the mean of the packaged sample."""
MOMENT = 6.5
"""Bytes of a float64 sum of products of narrower numbers, compressed; each doubling of terms adds a bit."""


@dataclass(frozen=True)
class Scale:
    """Sizes of model and facts.

    `widths` is (d_out, d_in) of every layer; `asked` is prompts per fact by metric; `prompt` and `target` are the mean
    tokens of the facts' prompts and new targets; `corpus` is the bytes of its file, infinite if unknown.
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
        """Operations of a forward pass through layers `first` to `last`; to the head if `last` is None."""
        depth = len(self.widths)
        share = ((depth if last is None else last + 1) - first) / depth
        return 2 * tokens * (self.blocks * share + (self.head if last is None else 0))

    def squares(self, layers: Sequence[int]) -> float:
        """Σ d² over layers."""
        return float(sum(self.widths[layer][1] ** 2 for layer in layers))

    def weights(self, layers: Sequence[int]) -> float:
        """Σ d_out·d_in over layers."""
        return float(sum(self.widths[layer][0] * self.widths[layer][1] for layer in layers))

    @property
    def widened(self) -> float:
        """Bytes of a number of the model's dtype stored as float64, compressed: its last bits are zero."""
        return min(DOUBLE, self.element + 0.7)

    @property
    def moment(self) -> float:
        """Bytes of an entry of a second moment."""
        return MOMENT if self.element < DOUBLE else DOUBLE

    def logits(self, tokens: float) -> float:
        """Bytes of the logits of `tokens` tokens, three times: logits, log-probabilities and an intermediate step."""
        return 3 * 4 * tokens * self.head / self.widths[0][0]


@dataclass(frozen=True)
class StageCost:
    """`rows` and `bytes` of the artifact; `model` operations in the model's dtype, `exact` ones in float64; `memory`
    bytes besides the model; `moved` bytes that are read and written."""

    rows: float
    bytes: float
    model: float = 0.0
    exact: float = 0.0
    memory: float = 0.0
    moved: float = 0.0


@dataclass(frozen=True)
class StageInputs(Generic[Settings]):
    """The inputs of a stage: its settings, and the row counts of its parents by role."""

    scale: Scale
    settings: Settings
    parents: Mapping[str, Sequence[float]]

    def rows(self, role: str) -> float:
        """The total of all parents in a role; 0 if there is none."""
        return sum(self.parents.get(role, ()))
