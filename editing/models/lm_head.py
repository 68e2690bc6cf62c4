"""Losses of the head's logits, and their gradients, a few rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from editflow.editing.models.editable import EditableModel

MAX_ROWS = 256
"""Rows of logits in memory at once: enough for the product to run at full speed.

It changes the last bits, so it is part of the versions of target values, evaluation and perplexity.
"""


class Loss(Protocol):
    """A loss of rows of logits, computed for the rows in the slice `here`."""

    def value(self, log_p: Tensor, here: slice) -> Tensor:
        """Return the losses (m,) for log-probabilities (m, vocabulary)."""

    def derive(self, log_p: Tensor, here: slice) -> None:
        """Replace the log-probabilities in place by the derivative of each row's loss by its logits."""


@dataclass(frozen=True)
class Nll:
    """−log p of each row's token (M,). `argmax` (M,), if given, receives the argmax of each row."""

    tokens: Tensor
    argmax: Tensor | None = None

    def value(self, log_p: Tensor, here: slice) -> Tensor:
        """See Loss. The argmax over the vocabulary is slow, so it is computed only on request."""
        if self.argmax is not None:
            self.argmax[here] = log_p.argmax(-1)
        return -log_p.gather(1, self.tokens[here, None])[:, 0]

    def derive(self, log_p: Tensor, here: slice) -> None:
        """p − 1 at the token, p elsewhere."""
        tokens = self.tokens[here, None]
        log_p.exp_().scatter_add_(1, tokens, log_p.new_full(tokens.shape, -1.0))


@dataclass(frozen=True)
class Divergence:
    """KL(edited ‖ base) of each row; `base` (M, vocabulary) has log-probabilities."""

    base: Tensor

    def value(self, log_p: Tensor, here: slice) -> Tensor:
        """See Loss."""
        return (log_p.exp() * (log_p - self.base[here])).sum(-1)

    def derive(self, log_p: Tensor, here: slice) -> None:
        """p (log p − log q − KL)."""
        difference = log_p - self.base[here]
        log_p.exp_()
        log_p *= difference - (log_p * difference).sum(-1, keepdim=True)


def log_probs(model: EditableModel, states: Tensor) -> Tensor:
    """Log-probabilities (M, vocabulary) of the next token for final hidden states (M, d), in at least float32."""
    with torch.autocast(states.device.type, enabled=False):
        return _log_softmax(model.logits(states))


def losses(model: EditableModel, states: Tensor, loss: Loss) -> Tensor:
    """The loss (M,) of each final hidden state (M, d)."""
    with torch.no_grad():
        return torch.cat([loss.value(log_probs(model, states[here]), here) for here in _parts(states)])


def losses_and_gradients(model: EditableModel, states: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """The loss (M,) of each final hidden state (M, d), and its gradient by that state (M, d).

    Costs two products with the head, and memory for MAX_ROWS rows of logits; autograd would keep several such matrices
    for all rows.
    """
    values: list[Tensor] = []
    gradients: list[Tensor] = []
    for here in _parts(states):
        leaf = states[here].detach().requires_grad_()
        # Autocast must be off in the backward pass too, or it narrows the product with the head.
        with torch.autocast(states.device.type, enabled=False):
            with torch.enable_grad():
                logits = model.logits(leaf)
            log_p = _log_softmax(logits.detach())
            values.append(loss.value(log_p, here))
            loss.derive(log_p, here)
            logits.backward(log_p.to(logits.dtype))  # type: ignore[no-untyped-call]
        gradients.append(cast(Tensor, leaf.grad))
    return torch.cat(values), torch.cat(gradients)


def _log_softmax(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def _parts(states: Tensor) -> list[slice]:
    return [slice(start, start + MAX_ROWS) for start in range(0, max(len(states), 1), MAX_ROWS)]
