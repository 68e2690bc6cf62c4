"""Keeps float64: layers of transformers narrow to float32 internally, whatever the model's dtype.

Llama's RMSNorm and its eager softmax, for two, round a float64 model's activations to 24 bits on every call.
Two ways of computing one thing then differ by 1e-8, not 1e-16, finite differences drown, and Adam, whose
first move is a sign, turns a rounding into a different trajectory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

Model = TypeVar("Model", bound=nn.Module)


class _NoNarrowing(TorchFunctionMode):
    """While active, a cast to float32 is a cast to float64."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        args = [torch.float64 if a is torch.float32 else a for a in args]
        kwargs = {k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()}
        return func(*args, **kwargs)


def _wide(forward: Callable[..., Any]) -> Callable[..., Any]:
    def widened(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with _NoNarrowing():
            return forward(self, *args, **kwargs)

    return widened


def widen(model: Model) -> Model:
    """The model itself, in evaluation mode, with float64 also in its norms, rotary tables and attention.

    Only those modules' own forward is touched, so float32 in the code under test still shows. They get a
    subclass (not a patched instance), so a deep copy of the model is as wide as the model.
    """
    for module in model.modules():
        kind = type(module)
        leaf = not any(module.children())
        if kind.__module__.startswith("transformers.models.") and (leaf or "Attention" in kind.__name__):
            module.__class__ = type(kind.__name__, (kind,), {"forward": _wide(kind.forward)})
    return model.double().eval()
