"""An edit of every declared architecture makes the target more likely, with a BOS token and padding on either side."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from oracle import literal
from oracle.rows import added, layer_output, linear_inputs, row_logits
from support.tiny_words import facts_of, word_tokenizer

from editflow.editing.editors.batch import Solver, edit_batch
from editflow.editing.editors.facts import Fact
from editflow.editing.editors.options import TargetValueOptions
from editflow.editing.editors.suffixes import Suffixes
from editflow.editing.editors.target_values import optimise
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.projected_ridge import ProjectedRidge
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix, PaddedBatch, run, run_prefix
from editflow.editing.requests.record import EditRequest

OPTIONS = TargetValueOptions(learning_rate=0.3, steps=8, stop_at=0.0, tokens_per_pass=200)
LAYER = 1


@pytest.fixture
def begun(every: EditableModel) -> EditableModel:
    """A model whose tokenizer adds a BOS token and pads on the left."""
    tokenizer = word_tokenizer(bos=True)
    tokenizer.padding_side, tokenizer.pad_token = "left", "<unk>"
    return replace(every, tokenizer=tokenizer)


def nlls(model: EditableModel, facts: list[Fact]) -> torch.Tensor:
    found = [literal.score(model.model, fact.rows[0].ids, fact.rows[0].target)[0] for fact in facts]
    return torch.tensor(found, dtype=torch.float64)


def test_an_edit_makes_its_targets_likelier(begun: EditableModel, requests: list[EditRequest]) -> None:
    facts = facts_of(begun, requests, ())
    assert all(row.ids[0] == 1 for fact in facts for row in fact.rows)
    bare = [literal.score(begun.model, fact.rows[0].ids[1:], fact.rows[0].target)[0] for fact in facts]
    assert not torch.allclose(torch.tensor(bare), nlls(begun, facts).float(), atol=1e-3)  # control: without the BOS
    values = optimise(begun, LAYER, facts, OPTIONS)
    before = nlls(begun, facts)
    still = [replace(v, z=v.z * 0 + at) for v, at in zip(values, unmoved(begun, facts), strict=True)]
    edit_batch(begun, facts, still, solvers(begun, facts), LAYER)
    assert torch.allclose(nlls(begun, facts), before, atol=1e-6)  # control: z* = h changes nothing
    edit_batch(begun, facts, values, solvers(begun, facts), LAYER)
    wanted = torch.tensor([value.nll for value in values], dtype=torch.float64)
    assert float(wanted.mean()) < float(before.mean()) - 0.1
    assert torch.allclose(nlls(begun, facts), wanted, atol=1e-3)


def test_delta_is_added_to_the_target_modules_output(every: EditableModel, requests: list[EditRequest]) -> None:
    facts = facts_of(every, requests, ())
    rows = [fact.rows[0] for fact in facts]
    suffixes = Suffixes.build(every, LAYER, rows, KVPrefix.empty(len(rows), every.device), 1)
    delta = torch.randn(suffixes.target_output.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = every.logits(suffixes.final_states(every, LAYER, delta))
    place = every.target_module(LAYER)
    for n, row in enumerate(rows):
        ids = [*row.prefix, *row.suffix]
        before = row_logits(every.model, ids)
        assert torch.allclose(suffixes.target_output[n], layer_output(every.model, place, ids)[row.lookup], atol=1e-9)
        with added(place, row.lookup, delta[n]):
            moved = row_logits(every.model, ids)
        assert torch.allclose(found[n, : len(row.suffix)], moved[row.lookup :], atol=1e-9)
        assert torch.allclose(moved[: row.lookup], before[: row.lookup], atol=1e-12)
        assert not torch.allclose(moved[row.lookup :], before[row.lookup :], atol=1e-3)  # control


def solvers(model: EditableModel, facts: list[Fact]) -> dict[int, Solver]:
    """Preserves the keys of all tokens but the subjects' last, so that an edit has exactly the effect of its values."""
    solver = ProjectedRidge(NullSpace.whole(model.key_width(LAYER)), 1e-9)
    for fact in facts:
        row = fact.rows[0]
        ids = [*row.ids, *row.target[:-1]]
        keys = linear_inputs(model.model, model.down_projection(LAYER), ids)
        solver.extend(keys[[n for n in range(len(ids)) if n != row.lookup]].T)
    return {LAYER: solver}


def unmoved(model: EditableModel, facts: list[Fact]) -> list[torch.Tensor]:
    return [value.z for value in optimise(model, LAYER, facts, replace(OPTIONS, steps=1))]


def test_two_prefixes_and_a_suffix_equal_the_whole_row(every: EditableModel) -> None:
    """Padded in three places, with rows longer than a sliding window."""
    sequences = [list(range(3, 16)), list(range(20, 26)), list(range(40, 49))]
    cuts = [(3, 9), (1, 2), (0, 5)]
    first = run_prefix(every, PaddedBatch.pad([s[:a] for s, (a, _) in zip(sequences, cuts, strict=True)]))
    second = run_prefix(every, PaddedBatch.pad([s[a:b] for s, (a, b) in zip(sequences, cuts, strict=True)]), first)
    rest = PaddedBatch.pad([s[b:] for s, (_, b) in zip(sequences, cuts, strict=True)])
    found = every.logits(run(every, rest, prefix=second))
    unhidden = replace(second, mask=torch.ones_like(second.mask))
    seen = every.logits(run(every, rest, prefix=unhidden))
    assert not torch.allclose(seen[1, 0], found[1, 0], atol=1e-3)  # control: padding that no mask hides
    for row, (sequence, (_, b)) in enumerate(zip(sequences, cuts, strict=True)):
        wanted = every.model(input_ids=torch.tensor([sequence]), use_cache=False).logits[0, b:]
        assert torch.allclose(found[row, : len(wanted)], wanted, atol=1e-9)
        assert not torch.allclose(found[row, : len(wanted)], wanted.roll(1, dims=0), atol=1e-3)  # control
