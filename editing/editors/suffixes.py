"""Rows of facts from the subject's last token on: the part that is run again after each edit.

δ is added at that one position of the z layer's output, or of its down-projection's where a norm follows. It changes
nothing before that position and nothing below that layer, so the prefix's attention keys and values and the z layer's
output are computed once, and every step runs only the layers above on the suffix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

import torch
from torch import Tensor

from editflow.editing.editors.facts import Row
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix, PaddedBatch, capture, run, run_prefix

START = 40
"""What one more pass costs, in tokens: every weight is read again, which took as long as some 40 tokens on two cores of
a CPU. Decides only which facts share a pass."""


@dataclass(frozen=True)
class Suffixes:
    """`each` suffix rows of every fact, fact by fact, on their prefixes; `hidden` (B, T, d) the z layer's output.

    `at` (B, d) is what the module that target values are found for gives at the first position.
    """

    prefix: KVPrefix
    rows: PaddedBatch
    hidden: Tensor
    at: Tensor
    each: int

    @classmethod
    def build(cls, model: EditableModel, z_layer: int, rows: Sequence[Row], on: KVPrefix, each: int) -> Suffixes:
        """Run the rows, whose first tokens have run as `on`, up to the z layer."""
        done = on.mask.sum(1).tolist()
        rest = [row.prefix[n:] for row, n in zip(rows, done, strict=True)]
        prefix = run_prefix(model, PaddedBatch.pad(rest, model.device), on)
        suffix = PaddedBatch.pad([row.suffix for row in rows], model.device)
        place = model.target_place(z_layer)
        with capture(model.layers[z_layer], inputs=False) as outputs, capture(place, inputs=False) as given:
            run(model, suffix, prefix=prefix, last=z_layer)
        return cls(prefix.above(z_layer), suffix, outputs[0], given[0][:, 0], each)

    def of(self, facts: Tensor) -> Suffixes:
        """Only the rows of the facts at the given places."""
        chosen = (facts[:, None] * self.each + torch.arange(self.each, device=facts.device)).flatten()
        rows = PaddedBatch(self.rows.ids[chosen], self.rows.mask[chosen])
        return Suffixes(self.prefix.select(chosen), rows, self.hidden[chosen], self.at[chosen], self.each)

    def final(self, model: EditableModel, z_layer: int, delta: Tensor) -> Tensor:
        """Final hidden states (B, T, d) with each fact's δ (facts, d) added at the first position of its rows."""
        moved = delta.to(self.hidden.dtype).repeat_interleave(self.each, dim=0)
        edited = self.hidden[:, :1] + model.output_shift(z_layer, self.at, moved)[:, None]
        hidden = torch.cat([edited, self.hidden[:, 1:]], dim=1)
        return run(model, self.rows, prefix=self.prefix, entering=(z_layer + 1, hidden))


def shared(model: EditableModel, rows: Sequence[Row], each: int) -> KVPrefix:
    """The first tokens that the i-th rows of all facts have in common, run once for each i: a sampled context."""
    trunks = [_common([row.prefix for row in rows[i::each]]) for i in range(each)]
    return run_prefix(model, PaddedBatch.pad(trunks, model.device))


def _common(sequences: Sequence[list[int]]) -> list[int]:
    same = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*sequences, strict=False))
    return [tokens[0] for tokens in same]


def split(lengths: Sequence[int], limit: int) -> list[range]:
    """Neighbours that share a pass: the partition with the least padding and the fewest starts.

    `lengths` are the tokens of each item; a pass holds at most `limit` with padding, or a single item.
    """
    best = [(0, 0)]  # what the first items cost, and where the last of their passes starts
    for end in range(1, len(lengths) + 1):
        costs: list[tuple[int, int]] = []
        widest = 0
        for start in range(end - 1, -1, -1):
            widest = max(widest, lengths[start])
            tokens = widest * (end - start)
            if costs and tokens > limit:
                break
            costs.append((best[start][0] + START + tokens, start))
        best.append(min(costs))
    ends = [len(lengths)]
    while ends[-1]:
        ends.append(best[ends[-1]][1])
    return [range(start, end) for end, start in pairwise(ends)][::-1]
