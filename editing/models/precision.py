"""Matrix products in bfloat16 for a model whose weights, residual stream and losses keep their precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from editflow.editing.models.editable import EditableModel


@contextmanager
def narrow_products(model: EditableModel, above: int = -1) -> Iterator[None]:
    """Within the block, use bfloat16 copies of the matrices in a float32 model's layers above layer `above`.

    Sums between the products stay in float32. So does the head, since rounding a logit of 20 to eight bits would
    change a loss by percents. Needs half of these layers' memory in addition. Does nothing for other dtypes.
    """
    kept: list[tuple[nn.Module, str, nn.Parameter]] = [
        (module, name, parameter)
        for module in model.layers[above + 1 :].modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.dim() > 1 and parameter.dtype == torch.float32
    ]
    if not kept:
        yield
        return
    try:
        for module, name, parameter in kept:
            setattr(module, name, nn.Parameter(parameter.to(torch.bfloat16), requires_grad=False))
        with torch.autocast(model.device.type, dtype=torch.bfloat16):
            yield
    finally:
        for module, name, parameter in kept:
            setattr(module, name, parameter)
