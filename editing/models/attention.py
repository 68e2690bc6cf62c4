"""Attention for many short rows, for which fused kernels have a high overhead."""

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
    """Within the block, compute attention as two batched products and a softmax.

    For rows of about twenty tokens with gradients, this is three to eight times as fast on a CPU as the fused kernel,
    which also needs keys and values repeated for grouped heads. A model that does not use transformers' attention
    registry keeps its own attention.
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
    """Return softmax(Q Kᵀ · scaling + mask) V, (B, T, heads, width), computed in at least float32.

    `query` is (B, heads, T, width); `key` and `value` are (B, groups, S, width). The queries of the heads that share a
    group are rows of one product. `softcap` c replaces scores x by c · tanh(x / c) before `attention_mask`
    (B, 1, T, S) is added.
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
        output = weights.view(batch, groups, -1, key.shape[2]) @ value.to(wide)
    # Autocast narrows the input of the next product itself; without it, a narrow model needs its own dtype.
    output = output.to(query.dtype) if not torch.is_autocast_enabled(query.device.type) else output
    return output.view(batch, heads, length, width).transpose(1, 2), None
