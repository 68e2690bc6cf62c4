"""Token sequences as padded rows, and partial forward passes over them.

A row is split at a position into a prefix and a suffix. The prefix runs once, and its attention keys and values are
kept; suffixes run on top of it, from any layer on. Rows are padded on the right and positions are given explicitly, so
padding changes no result: padded slots are masked, and every token keeps its position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from editflow.editing.errors import InvalidRequest
from editflow.editing.models.editable import EditableModel

KeyValues = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class PaddedBatch:
    """B token sequences: `ids` (B, T) int64, `mask` (B, T) int64, 1 where a token is real."""

    ids: Tensor
    mask: Tensor

    @classmethod
    def pad(cls, sequences: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> PaddedBatch:
        """Right-pad with token 0, which the mask hides."""
        width = max((len(s) for s in sequences), default=0)
        ids = torch.zeros(len(sequences), width, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for i, sequence in enumerate(sequences):
            ids[i, : len(sequence)] = torch.tensor(sequence, dtype=torch.int64)
            mask[i, : len(sequence)] = 1
        return cls(ids.to(device), mask.to(device))

    @property
    def lengths(self) -> Tensor:
        """(B,) number of real tokens."""
        return self.mask.sum(dim=1)


@dataclass(frozen=True)
class KVPrefix:
    """Attention keys and values of B prefixes, (B, heads, P, head width) per layer, and their mask (B, P)."""

    key_values: KeyValues
    mask: Tensor

    def select(self, rows: Tensor) -> KVPrefix:
        """The prefixes of the given rows, in that order; rows may repeat."""
        chosen = [(k.index_select(0, rows), v.index_select(0, rows)) for k, v in self.key_values]
        return KVPrefix(chosen, self.mask.index_select(0, rows))

    def above(self, layer: int) -> KVPrefix:
        """Drop keys and values up to `layer`, except those of layer 0, from which transformers reads the length."""
        kept = [
            (k, v) if not 0 < n <= layer else (k[:, :, :0], v[:, :, :0]) for n, (k, v) in enumerate(self.key_values)
        ]
        return KVPrefix(kept, self.mask)

    def left_padded(self) -> KVPrefix:
        """Move padding to the front, so that sliding windows, which count slots, count tokens."""
        order = self.mask.argsort(dim=1, stable=True)

        def sort(part: Tensor) -> Tensor:
            return part.gather(2, order[:, None, :, None].expand_as(part))

        return KVPrefix([(sort(k), sort(v)) for k, v in self.key_values], self.mask.gather(1, order))

    def cache(self) -> DynamicCache | None:
        """A new cache for one forward pass, which extends the cache but not this prefix. None for empty prefixes."""
        return DynamicCache(self.key_values) if self.mask.shape[1] else None

    @classmethod
    def from_cache(cls, model: EditableModel, cache: Any, mask: Tensor) -> KVPrefix:
        """Read keys and values from a transformers cache; `mask` (B, P) marks the real tokens.

        For a model with sliding-window attention, which counts padded slots too, the result is left-padded.
        """
        prefix = cls([(layer.keys, layer.values) for layer in cache.layers], mask)
        return prefix if getattr(model.model.config, "sliding_window", None) is None else prefix.left_padded()

    @classmethod
    def empty(cls, batch: int, device: torch.device) -> KVPrefix:
        """B prefixes of no tokens."""
        return cls([], torch.zeros(batch, 0, dtype=torch.int64, device=device))


class _SkippedLayer(nn.Module):
    """Replaces a skipped layer: returns its input, or a given tensor."""

    def __init__(self, output: Tensor | None, returns_tuple: bool) -> None:
        super().__init__()
        self.output = output
        self.returns_tuple = returns_tuple

    def forward(self, hidden: Tensor, *_args: Any, **_kwargs: Any) -> Tensor | tuple[Tensor, None]:
        output = hidden if self.output is None else self.output
        return (output, None) if self.returns_tuple else output


@contextmanager
def _run_only(model: EditableModel, first: int, last: int, entering: Tensor | None) -> Iterator[None]:
    """Within the block, run only layers first…last; `entering` replaces the input of layer `first`."""
    layers = model.layers
    skipped = {i: layers[i] for i in range(len(layers)) if not first <= i <= last}
    try:
        for i in skipped:
            layers[i] = _SkippedLayer(entering if i == first - 1 else None, model.family.returns_tuple)
        yield
    finally:
        for i, layer in skipped.items():
            layers[i] = layer


def run(
    model: EditableModel,
    rows: PaddedBatch,
    *,
    prefix: KVPrefix | None = None,
    entering: tuple[int, Tensor] | None = None,
    last: int | None = None,
    cache: DynamicCache | None = None,
) -> Tensor:
    """Run the rows and return their hidden states (B, T, d) after the last layer that runs and the final norm.

    `entering` = (layer, hidden (B, T, d)) starts at that layer with that input; `last` skips the layers above it. Uses
    the model's own forward, so masks, positions and norms are the architecture's. Raises InvalidRequest for a row with
    more tokens than the model has positions.
    """
    first, hidden = entering if entering is not None else (0, None)
    prefix = prefix or KVPrefix.empty(rows.ids.shape[0], rows.ids.device)
    cache = cache if cache is not None else prefix.cache()
    _check_length(model, prefix, rows)
    position_ids = prefix.mask.sum(1, keepdim=True) + torch.arange(rows.ids.shape[1], device=rows.ids.device)
    # Padded slots get position 0, so that none is beyond a table of learned positions.
    position_ids = position_ids * rows.mask
    with _run_only(model, first, model.depth - 1 if last is None else last, hidden):
        output = model.base(
            input_ids=rows.ids,
            attention_mask=torch.cat([prefix.mask, rows.mask], dim=1),
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=cache is not None,
        )
    return output.last_hidden_state  # type: ignore[no-any-return]


def _check_length(model: EditableModel, prefix: KVPrefix, rows: PaddedBatch) -> None:
    limit = getattr(model.model.config, "max_position_embeddings", None)
    if limit is None or prefix.mask.shape[1] + rows.ids.shape[1] <= limit:  # a cheap upper bound: the padded length
        return
    longest = int((prefix.mask.sum(1) + rows.lengths).max())
    if longest > limit:
        raise InvalidRequest("a prompt", f"it takes {longest} tokens, the model has {limit} positions", "shorten it")


def run_prefix(model: EditableModel, rows: PaddedBatch, on: KVPrefix | None = None) -> KVPrefix:
    """Run prefixes once, on top of the prefixes `on` if given, and return the attention keys and values of both."""
    on = on or KVPrefix.empty(rows.ids.shape[0], rows.ids.device)
    if rows.ids.shape[1] == 0:
        return on
    # A row without a prefix needs one key to attend to, or its padding becomes NaN; the returned mask hides that key.
    visible = rows.mask.clone()
    visible[:, 0] = 1
    cache = on.cache() or DynamicCache()
    run(model, PaddedBatch(rows.ids, visible), prefix=on, cache=cache)
    return KVPrefix.from_cache(model, cache, torch.cat([on.mask, rows.mask], dim=1))


@contextmanager
def capture(module: nn.Module, *, inputs: bool) -> Iterator[list[Tensor]]:
    """Collect a module's first input, or its output, in every forward pass within the block."""
    seen: list[Tensor] = []

    def before(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        seen.append(args[0])

    def after(_module: nn.Module, _args: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
        seen.append(output if isinstance(output, Tensor) else output[0])

    handle = module.register_forward_pre_hook(before) if inputs else module.register_forward_hook(after)
    try:
        yield seen
    finally:
        handle.remove()
