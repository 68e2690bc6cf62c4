"""Facts' rows from the subject's last token on, the only part that each optimisation step runs.

δ is added at that one position to the z layer's output, or to its down-projection's output if a norm follows. It
affects neither earlier positions nor lower layers. So the prefix's attention keys and values and the z layer's output
are computed once, and every step runs only the layers above the z layer on the suffix.
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

PASS_OVERHEAD = 40
"""Cost of one more pass, in tokens: it reads every weight again, which takes as long as about 40 tokens on two CPU
cores. It only decides which facts share a pass."""


@dataclass(frozen=True)
class Suffixes:
    """Suffix rows on their prefixes, `rows_per_fact` consecutive rows for each fact.

    `hidden` (B, T, d) is the z layer's output. `target_output` (B, d) is the output of the target module at the first
    position.
    """

    prefix: KVPrefix
    rows: PaddedBatch
    hidden: Tensor
    target_output: Tensor
    rows_per_fact: int

    @classmethod
    def build(
        cls, model: EditableModel, z_layer: int, rows: Sequence[Row], start: KVPrefix, rows_per_fact: int
    ) -> Suffixes:
        """Run the rows up to the z layer, on top of `start`, which holds their first tokens."""
        done = start.mask.sum(1).tolist()
        rest = [row.prefix[n:] for row, n in zip(rows, done, strict=True)]
        prefix = run_prefix(model, PaddedBatch.pad(rest, model.device), start)
        suffix = PaddedBatch.pad([row.suffix for row in rows], model.device)
        target = model.target_module(z_layer)
        with capture(model.layers[z_layer], inputs=False) as outputs, capture(target, inputs=False) as target_outputs:
            run(model, suffix, prefix=prefix, last=z_layer)
        return cls(prefix.above(z_layer), suffix, outputs[0], target_outputs[0][:, 0], rows_per_fact)

    def select(self, facts: Tensor) -> Suffixes:
        """Keep only the rows of the facts at these indices."""
        n = self.rows_per_fact
        chosen = (facts[:, None] * n + torch.arange(n, device=facts.device)).flatten()
        rows = PaddedBatch(self.rows.ids[chosen], self.rows.mask[chosen])
        return Suffixes(self.prefix.select(chosen), rows, self.hidden[chosen], self.target_output[chosen], n)

    def final_states(self, model: EditableModel, z_layer: int, delta: Tensor) -> Tensor:
        """Final hidden states (B, T, d) with each fact's δ (facts, d) added at the first position of its rows."""
        delta = delta.to(self.hidden.dtype).repeat_interleave(self.rows_per_fact, dim=0)
        edited = self.hidden[:, :1] + model.output_shift(z_layer, self.target_output, delta)[:, None]
        hidden = torch.cat([edited, self.hidden[:, 1:]], dim=1)
        return run(model, self.rows, prefix=self.prefix, entering=(z_layer + 1, hidden))


def run_shared_prefixes(model: EditableModel, rows: Sequence[Row], rows_per_fact: int) -> KVPrefix:
    """Run once the first tokens that the i-th rows of all facts share (a sampled context), for each i."""
    prefixes = [_common_prefix([row.prefix for row in rows[i::rows_per_fact]]) for i in range(rows_per_fact)]
    return run_prefix(model, PaddedBatch.pad(prefixes, model.device))


def _common_prefix(sequences: Sequence[list[int]]) -> list[int]:
    same = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*sequences, strict=False))
    return [tokens[0] for tokens in same]


def split_into_passes(lengths: Sequence[int], limit: int) -> list[range]:
    """Split adjacent items into passes, with the least padding and the fewest passes.

    `lengths` are the token counts of the items. A pass has at most `limit` tokens with padding, or a single item.
    """
    best = [(0, 0)]  # for each number of items: least cost, and the first item of the last pass
    for end in range(1, len(lengths) + 1):
        costs: list[tuple[int, int]] = []
        widest = 0
        for start in range(end - 1, -1, -1):
            widest = max(widest, lengths[start])
            tokens = widest * (end - start)
            if costs and tokens > limit:
                break
            costs.append((best[start][0] + PASS_OVERHEAD + tokens, start))
        best.append(min(costs))
    ends = [len(lengths)]
    while ends[-1]:
        ends.append(best[ends[-1]][1])
    return [range(start, end) for end, start in pairwise(ends)][::-1]
