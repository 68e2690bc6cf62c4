"""Token sequences as padded rows, and partial forward passes over them.

A row is split at a position into a prefix and a suffix. The prefix runs once and leaves its attention keys and values;
suffixes run on top of it, from any layer on. Rows are padded on the right and positions are given explicitly, so
padding changes no number (a padded slot is masked and every real token keeps its own position).
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
    """What B prefixes leave behind: per layer keys and values (B, heads, P, head width), and their mask (B, P)."""

    key_values: KeyValues
    mask: Tensor

    def select(self, rows: Tensor) -> KVPrefix:
        """The prefixes of the given rows, in that order, repeated where asked."""
        chosen = [(k.index_select(0, rows), v.index_select(0, rows)) for k, v in self.key_values]
        return KVPrefix(chosen, self.mask.index_select(0, rows))

    def above(self, layer: int) -> KVPrefix:
        """Without keys and values up to the layer, which need not run again; the first layer's tell the length."""
        kept = [
            (k, v) if not 0 < n <= layer else (k[:, :, :0], v[:, :, :0]) for n, (k, v) in enumerate(self.key_values)
        ]
        return KVPrefix(kept, self.mask)

    def packed(self) -> KVPrefix:
        """With padding first, so that slots have the distances of their tokens: windows count slots."""
        order = self.mask.argsort(dim=1, stable=True)

        def sort(part: Tensor) -> Tensor:
            return part.gather(2, order[:, None, :, None].expand_as(part))

        return KVPrefix([(sort(k), sort(v)) for k, v in self.key_values], self.mask.gather(1, order))

    def cache(self) -> DynamicCache | None:
        """A fresh cache object for one forward pass (a pass grows its cache, never this prefix)."""
        return DynamicCache(self.key_values) if self.mask.shape[1] else None

    @classmethod
    def of(cls, cache: Any, mask: Tensor) -> KVPrefix:
        """Keys and values that passes left in a transformers cache; `mask` (B, P) marks the real tokens."""
        return cls([(layer.keys, layer.values) for layer in cache.layers], mask)

    @classmethod
    def empty(cls, batch: int, device: torch.device) -> KVPrefix:
        """B prefixes of no tokens."""
        return cls([], torch.zeros(batch, 0, dtype=torch.int64, device=device))


class _Pass(nn.Module):
    """Replaces a layer that is left out: passes on its input, or a given tensor."""

    def __init__(self, output: Tensor | None, returns_tuple: bool) -> None:
        super().__init__()
        self.output = output
        self.returns_tuple = returns_tuple

    def forward(self, hidden: Tensor, *_args: Any, **_kwargs: Any) -> Tensor | tuple[Tensor, None]:
        output = hidden if self.output is None else self.output
        return (output, None) if self.returns_tuple else output


@contextmanager
def _only(model: EditableModel, first: int, last: int, entering: Tensor | None) -> Iterator[None]:
    """Within the block, only layers first…last run; `entering` is what layer `first` receives."""
    layers = model.layers
    kept = {i: layers[i] for i in range(len(layers)) if not first <= i <= last}
    try:
        for i in kept:
            layers[i] = _Pass(entering if i == first - 1 else None, model.family.returns_tuple)
        yield
    finally:
        for i, layer in kept.items():
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
    """Final hidden states (B, T, d) of the rows after the last layer run and the final norm.

    `entering` = (layer, hidden (B, T, d)) starts at that layer with that input; `last` leaves out the layers above it.
    Uses the model's own forward throughout, so masks, positions and norms are the architecture's. Raises InvalidRequest
    for a row that is longer than the model has positions.
    """
    first, hidden = entering if entering is not None else (0, None)
    prefix = prefix or KVPrefix.empty(rows.ids.shape[0], rows.ids.device)
    cache = cache if cache is not None else prefix.cache()
    _check_room(model, prefix, rows)
    position_ids = prefix.mask.sum(1, keepdim=True) + torch.arange(rows.ids.shape[1], device=rows.ids.device)
    # Only real tokens need a true position; a padded slot may not run past a table of learned positions.
    position_ids = position_ids * rows.mask
    with _only(model, first, model.depth - 1 if last is None else last, hidden):
        output = model.base(
            input_ids=rows.ids,
            attention_mask=torch.cat([prefix.mask, rows.mask], dim=1),
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=cache is not None,
        )
    return output.last_hidden_state  # type: ignore[no-any-return]


def _check_room(model: EditableModel, prefix: KVPrefix, rows: PaddedBatch) -> None:
    limit = getattr(model.model.config, "max_position_embeddings", None)
    if limit is None or prefix.mask.shape[1] + rows.ids.shape[1] <= limit:  # padded: an upper bound that costs nothing
        return
    longest = int((prefix.mask.sum(1) + rows.lengths).max())
    if longest > limit:
        raise InvalidRequest("a prompt", f"it takes {longest} tokens, the model has {limit} positions", "shorten it")


def run_prefix(model: EditableModel, rows: PaddedBatch, on: KVPrefix | None = None) -> KVPrefix:
    """Run prefixes once, on top of others where given, and keep the attention keys and values of both."""
    on = on or KVPrefix.empty(rows.ids.shape[0], rows.ids.device)
    if rows.ids.shape[1] == 0:
        return on
    # A row without a prefix still needs one key to attend to, or its padding turns into NaN; the mask kept hides it.
    visible = rows.mask.clone()
    visible[:, 0] = 1
    cache = on.cache() or DynamicCache()
    run(model, PaddedBatch(rows.ids, visible), prefix=on, cache=cache)
    return left_by(model, cache, torch.cat([on.mask, rows.mask], dim=1))


def left_by(model: EditableModel, cache: Any, mask: Tensor) -> KVPrefix:
    """What passes left in a cache, packed where attention slides: its window is counted in slots, padded ones too."""
    prefix = KVPrefix.of(cache, mask)
    return prefix if getattr(model.model.config, "sliding_window", None) is None else prefix.packed()


@contextmanager
def capture(module: nn.Module, *, inputs: bool) -> Iterator[list[Tensor]]:
    """Collect a module's first input, or its output, of every forward pass in the block."""
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
