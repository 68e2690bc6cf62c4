"""Losses that read the head's logits, and their gradients, a few rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from editflow.editing.models.editable import EditableModel

ROWS = 256
"""Rows of the vocabulary's width that are held at once: enough for the product to run at full speed.

Moves the last bits of what is read, so it is part of the versions of target values, evaluation and perplexity.
"""


class Loss(Protocol):
    """A loss of the rows `here`, whose log-probabilities (m, vocabulary) are given."""

    def value(self, spread: Tensor, here: slice) -> Tensor:
        """The losses (m,)."""

    def derive(self, spread: Tensor, here: slice) -> None:
        """Put the derivative of each row's loss by its logits in place of the log-probabilities."""


@dataclass(frozen=True)
class Nll:
    """−log p of each row's token (M,); `said` (M,) receives the argmax, if it is requested."""

    tokens: Tensor
    said: Tensor | None = None

    def value(self, spread: Tensor, here: slice) -> Tensor:
        """See Loss. A maximum over the vocabulary costs time, so it is computed only on request."""
        if self.said is not None:
            self.said[here] = spread.argmax(-1)
        return -spread.gather(1, self.tokens[here, None])[:, 0]

    def derive(self, spread: Tensor, here: slice) -> None:
        """p − 1 at the token, p elsewhere."""
        wanted = self.tokens[here, None]
        spread.exp_().scatter_add_(1, wanted, spread.new_full(wanted.shape, -1.0))


@dataclass(frozen=True)
class Divergence:
    """KL(edited ‖ base) of each row, for `base` (M, vocabulary) as log-probabilities."""

    base: Tensor

    def value(self, spread: Tensor, here: slice) -> Tensor:
        """See Loss."""
        return (spread.exp() * (spread - self.base[here])).sum(-1)

    def derive(self, spread: Tensor, here: slice) -> None:
        """p (log p − log q − KL)."""
        difference = spread - self.base[here]
        spread.exp_()
        spread *= difference - (spread * difference).sum(-1, keepdim=True)


def log_probs(model: EditableModel, states: Tensor) -> Tensor:
    """Log-probabilities (M, vocabulary) of what follows the final hidden states (M, d), in float32 at least."""
    with torch.autocast(states.device.type, enabled=False):
        return _log_softmax(model.logits(states))


def losses(model: EditableModel, states: Tensor, loss: Loss) -> Tensor:
    """The loss (M,) of each final hidden state (M, d)."""
    with torch.no_grad():
        return torch.cat([loss.value(log_probs(model, states[here]), here) for here in _parts(states)])


def losses_and_gradients(model: EditableModel, states: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """The loss (M,) of each final hidden state (M, d) and its gradient by that state (M, d).

    Two products with the head, and memory for a few rows however many there are: autograd would keep several numbers
    for every row and word of the vocabulary.
    """
    found: list[Tensor] = []
    gradients: list[Tensor] = []
    for here in _parts(states):
        leaf = states[here].detach().requires_grad_()
        # Off for the way back as well, which else would narrow the head's product.
        with torch.autocast(states.device.type, enabled=False):
            with torch.enable_grad():
                logits = model.logits(leaf)
            spread = _log_softmax(logits.detach())
            found.append(loss.value(spread, here))
            loss.derive(spread, here)
            logits.backward(spread.to(logits.dtype))  # type: ignore[no-untyped-call]
        gradients.append(cast(Tensor, leaf.grad))
    return torch.cat(found), torch.cat(gradients)


def _log_softmax(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def _parts(states: Tensor) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, max(len(states), 1), ROWS)]
