"""Perplexity of held-out documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, run
from editflow.editing.models.lm_head import Nll, losses


@torch.no_grad()
def window_nll(
    model: EditableModel,
    windows: Sequence[list[int]],
    windows_per_pass: int = 4,
    progress: Callable[[int], None] = lambda _windows: None,
) -> list[tuple[int, float]]:
    """Return (number of predicted tokens, their summed NLL in nats) of each window, all but its first token."""
    found = []
    for start in range(0, len(windows), windows_per_pass):
        part = windows[start : start + windows_per_pass]
        hidden = run(model, PaddedBatch.pad(part, model.device))
        for row, window in enumerate(part):
            wanted = torch.tensor(window[1:], dtype=torch.int64, device=model.device)
            nll = float(losses(model, hidden[row, : len(wanted)], Nll(wanted)).double().sum())
            if not math.isfinite(nll):
                raise NonFinite("the NLL of a held-out window is not finite: check the model's weights and dtype")
            found.append((len(wanted), nll))
        progress(len(part))
    return found


def perplexity(rows: Iterable[tuple[int, float]]) -> float:
    """exp of the mean NLL per predicted token, from (tokens, summed NLL). Raises InvalidOption for no tokens."""
    counted = list(rows)
    tokens, nll = sum(tokens for tokens, _ in counted), sum(nll for _, nll in counted)
    if tokens == 0:
        raise InvalidOption("no held-out window has two tokens: raise corpus.min_characters or held_out_documents")
    return math.exp(nll / tokens)
