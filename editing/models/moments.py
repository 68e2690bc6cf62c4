"""Second moments of several layers' keys in one pass over token windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import torch

from editflow.editing.linalg.second_moment import SecondMoment
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, capture, run


@torch.no_grad()
def second_moments(
    model: EditableModel,
    layers: Sequence[int],
    windows: Sequence[list[int]],
    tokens_per_pass: int,
    progress: Callable[[int], None] = lambda _tokens: None,
) -> dict[int, SecondMoment]:
    """Second moments of the down-projections' inputs at all tokens of the windows (MEMIT, arXiv 2210.07229, §4.3).

    One forward pass serves all layers and stops after the highest. Windows of similar length share a pass of at most
    `tokens_per_pass` tokens, so there is little padding and memory does not grow with the corpus.
    """
    moments = {layer: SecondMoment.zeros(model.key_width(layer), model.device) for layer in layers}
    for part in _passes(windows, tokens_per_pass):
        rows = PaddedBatch.pad(part, model.device)
        real = rows.mask.flatten().nonzero()[:, 0]
        with ExitStack() as stack:
            seen = {n: stack.enter_context(capture(model.down_projection(n), inputs=True)) for n in layers}
            run(model, rows, last=max(layers))
        for layer in layers:
            moments[layer].add(seen[layer][0].flatten(0, 1)[real])
        progress(int(real.numel()))
    return moments


def _passes(windows: Sequence[list[int]], tokens_per_pass: int) -> Iterator[list[list[int]]]:
    """Group windows, longest first, into passes whose padded size is within the limit."""
    part: list[list[int]] = []
    for window in sorted((w for w in windows if w), key=len, reverse=True):
        if part and len(part[0]) * (len(part) + 1) > tokens_per_pass:
            yield part
            part = []
        part.append(window)
    if part:
        yield part
