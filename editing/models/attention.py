"""Attention for many short rows, where fused kernels spend most of their time on start-up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from editflow.editing.models.editable import EditableModel

NAME = "short_rows"


@contextmanager
def short_rows(model: EditableModel) -> Iterator[None]:
    """Within the block, attention is two batched products and a softmax.

    For rows of some twenty tokens with their gradients that is three to eight times as fast on a CPU as the fused
    kernel, which also wants keys and values repeated for grouped heads. A model that does not take its attention from
    transformers' registry keeps its own.
    """
    if not model.model.is_backend_compatible():
        yield
        return
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, eager_mask)
    before = model.model.config._attn_implementation
    try:
        model.model.set_attn_implementation(NAME)
        yield
    finally:
        model.model.set_attn_implementation(before)


def _attend(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    softcap: float | None = None,
    **_kwargs: Any,
) -> tuple[Tensor, None]:
    """softmax(Q Kᵀ · scaling + mask) V, (B, T, heads, width), in float32 at least; `softcap` c bounds scores x by
    c · tanh(x / c) before the mask.

    `query` (B, heads, T, width); `key` and `value` (B, groups, S, width): the queries of the heads that share a group
    are taken as rows of one product; `attention_mask` (B, 1, T, S) is added.
    """
    batch, heads, length, width = query.shape
    groups = key.shape[1]
    with torch.autocast(query.device.type, enabled=False):
        wide = torch.promote_types(torch.promote_types(query.dtype, key.dtype), torch.float32)
        rows = (query.to(wide) * (width**-0.5 if scaling is None else scaling)).reshape(batch, groups, -1, width)
        scores = (rows @ key.to(wide).transpose(-1, -2)).view(batch, groups, heads // groups, length, -1)
        if softcap is not None:
            scores = (scores / softcap).tanh() * softcap
        weights = (scores + attention_mask[:, :, None].to(wide)).softmax(-1)
        seen = weights.view(batch, groups, -1, key.shape[2]) @ value.to(wide)
    # Under autocast the next product narrows its input itself; a narrow model wants its own type.
    seen = seen.to(query.dtype) if not torch.is_autocast_enabled(query.device.type) else seen
    return seen.view(batch, heads, length, width).transpose(1, 2), None
