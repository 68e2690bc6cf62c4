"""Partial forward passes (prefix, suffix, start and end at any layer) equal a whole pass of one row."""

from __future__ import annotations

import pytest
import torch
from oracle.rows import layer_output, row_logits

from editflow.editing.errors import InvalidRequest
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix, PaddedBatch, capture, run, run_prefix

SEQUENCES = [[3, 4, 5, 6, 7, 8], [9, 10, 11], [12, 13, 14, 15]]
SPLITS = [4, 0, 2]


def split(model: EditableModel) -> tuple[KVPrefix, PaddedBatch]:
    prefix = run_prefix(model, PaddedBatch.pad([s[:n] for s, n in zip(SEQUENCES, SPLITS, strict=True)]))
    return prefix, PaddedBatch.pad([s[n:] for s, n in zip(SEQUENCES, SPLITS, strict=True)])


def test_suffixes_on_prefixes_equal_whole_rows(every: EditableModel) -> None:
    prefix, suffix = split(every)
    logits = every.logits(run(every, suffix, prefix=prefix))
    for row, (sequence, n) in enumerate(zip(SEQUENCES, SPLITS, strict=True)):
        wanted = row_logits(every.model, sequence)[n:]
        assert torch.allclose(logits[row, : len(sequence) - n], wanted, atol=1e-9)
    other = PaddedBatch.pad([[20 + t for t in s[:n]] for s, n in zip(SEQUENCES, SPLITS, strict=True)])
    changed = every.logits(run(every, suffix, prefix=run_prefix(every, other)))
    assert not torch.allclose(changed[0], logits[0], atol=1e-3)  # control: the prefix is really used
    assert torch.allclose(changed[1], logits[1], atol=1e-9)  # the row without a prefix does not care


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_starting_at_a_layer_with_its_own_input_changes_nothing(every: EditableModel, layer: int) -> None:
    prefix, suffix = split(every)
    with capture(every.layers[layer - 1], inputs=False) as seen:
        whole = run(every, suffix, prefix=prefix)
    assert torch.allclose(run(every, suffix, prefix=prefix, entering=(layer, seen[0])), whole, atol=1e-10)
    assert not torch.allclose(run(every, suffix, prefix=prefix, entering=(layer, seen[0].flip(-1))), whole, atol=1e-3)


def test_stopping_after_a_layer_gives_its_output_and_restores_the_model(every: EditableModel) -> None:
    rows = PaddedBatch.pad(SEQUENCES)
    before = list(every.layers)
    with capture(every.layers[2], inputs=False) as seen:
        run(every, rows, last=2)
    assert torch.allclose(seen[0][0], layer_output(every.model, every.layers[2], SEQUENCES[0]), atol=1e-9)
    assert list(every.layers) == before
    with pytest.raises(IndexError), capture(every.layers[2], inputs=False):
        run(every, PaddedBatch.pad([[10**6]]))  # a token that no embedding has
    assert list(every.layers) == before


def test_selecting_and_repeating_prefixes(every: EditableModel) -> None:
    prefix, suffix = split(every)
    rows = torch.tensor([2, 0, 2])
    chosen = PaddedBatch(suffix.ids[rows], suffix.mask[rows])
    whole, part = run(every, suffix, prefix=prefix), run(every, chosen, prefix=prefix.select(rows))
    assert torch.allclose(part, whole[rows], atol=1e-9)


def test_a_row_longer_than_the_model_has_positions_is_refused(every: EditableModel) -> None:
    """Split or whole; a padded width alone is no length."""
    prefix, suffix = split(every)
    config, longest = every.model.config, max(map(len, SEQUENCES))
    before = config.max_position_embeddings
    try:
        config.max_position_embeddings = longest
        run(every, suffix, prefix=prefix)  # the control; padded, prefix and suffix are wider than that
        assert prefix.mask.shape[1] + suffix.ids.shape[1] > longest
        config.max_position_embeddings = longest - 1
        for on, rows in ((prefix, suffix), (None, PaddedBatch.pad(SEQUENCES))):
            with pytest.raises(InvalidRequest, match="it takes 6 tokens, the model has 5 positions; shorten it"):
                run(every, rows, prefix=on)
    finally:
        config.max_position_embeddings = before
