"""A batch on all edited layers equals the literal loop, and returns the keys that it used."""

from __future__ import annotations

import copy

import pytest
import torch
from oracle import literal
from support.method_cases import knowledge
from support.tiny_words import facts_of

from editflow.editing.editors.batch import edit_batch
from editflow.editing.editors.contexts import sample_contexts
from editflow.editing.editors.options import ContextOptions, TargetValueOptions
from editflow.editing.editors.target_values import optimise
from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.projected_ridge import LowRank, ProjectedRidge
from editflow.editing.models.editable import EditableModel
from editflow.editing.requests.record import EditRequest

LAYERS, Z_LAYER, RIDGE = [0, 1, 2], 2, 1.0
OPTIONS = TargetValueOptions(learning_rate=0.3, steps=12, stop_at=1.2, tokens_per_pass=80)


def solvers_of(model: EditableModel) -> dict[int, ProjectedRidge]:
    return {
        layer: ProjectedRidge(known.required_null_space, RIDGE) for layer, known in knowledge(model, LAYERS).items()
    }


def test_two_batches_equal_the_literal_ones(tiny: EditableModel, requests: list[EditRequest]) -> None:
    solvers = solvers_of(tiny)
    projectors = {layer: solver.null_space.matrix() for layer, solver in solvers.items()}
    twin = copy.deepcopy(tiny.model)
    blocks = twin.base_model.get_submodule(tiny.family.layers)
    modules = {n: blocks[n].get_submodule(tiny.family.down_projection) for n in LAYERS}
    previous: dict[int, torch.Tensor | None] = dict.fromkeys(LAYERS)
    for part in (requests[:3], requests[3:]):
        facts = facts_of(tiny, part)
        values = optimise(tiny, Z_LAYER, facts, OPTIONS)
        edits = edit_batch(tiny, facts, values, solvers, Z_LAYER)
        book = [
            literal.Fact([row.ids for row in fact.rows], [row.lookup for row in fact.rows], value.z)
            for fact, value in zip(facts, values, strict=True)
        ]
        wanted = literal.edit_batch(
            twin, modules, dict(enumerate(blocks)), book, projectors, previous, Z_LAYER, RIDGE, tiny.family.transposed
        )
        for layer, (delta, K1) in wanted.items():
            assert torch.allclose(edits[layer].keys, K1, atol=1e-9)
            change = edits[layer].change
            assert isinstance(change, LowRank)
            assert float((change.dense() - delta).norm() / delta.norm()) < 1e-8
            earlier = previous[layer]
            previous[layer] = K1 if earlier is None else torch.cat([earlier, K1], dim=1)
        for name_, tensor in tiny.model.state_dict().items():
            assert torch.allclose(tensor, twin.state_dict()[name_], atol=1e-8), name_
    assert not torch.allclose(edits[0].keys, edits[1].keys)


def test_order_of_facts_does_not_matter_to_the_weights(llama: EditableModel, requests: list[EditRequest]) -> None:
    twin = EditableModel(copy.deepcopy(llama.model), llama.tokenizer, llama.family)
    facts = facts_of(llama, requests)
    values = optimise(llama, Z_LAYER, facts, OPTIONS)
    for model, order in ((llama, slice(None)), (twin, slice(None, None, -1))):
        edit_batch(model, facts[order], values[order], solvers_of(model), Z_LAYER)
    for layer in LAYERS:
        assert torch.allclose(llama.weight(layer), twin.weight(layer), rtol=1e-6, atol=1e-9)


def test_editing_lowers_the_loss_of_its_facts(llama: EditableModel, requests: list[EditRequest]) -> None:
    fact = facts_of(llama, requests[:1])
    solvers = {layer: ProjectedRidge(NullSpace.whole(64), 1e-3) for layer in LAYERS}
    row = fact[0].rows[0]
    before, _ = literal.score(llama.model, row.ids, row.target)
    edit_batch(llama, fact, optimise(llama, Z_LAYER, fact, OPTIONS), solvers, Z_LAYER)
    after, _ = literal.score(llama.model, row.ids, row.target)
    assert after < before - 0.5


def test_contexts_are_seeded_and_contain_no_braces(llama: EditableModel) -> None:
    texts = sample_contexts(llama, ContextOptions(count=6, tokens=5, seed=1))
    assert texts == sample_contexts(llama, ContextOptions(count=6, tokens=5, seed=1))
    assert texts != sample_contexts(llama, ContextOptions(count=6, tokens=5, seed=2))
    assert len(texts) == 6
    assert all(text.endswith(". ") and not {"{", "}", "\n"} & set(text) for text in texts)
    assert sample_contexts(llama, ContextOptions(count=0)) == []
    with pytest.raises(InvalidOption, match="contexts.count"):
        ContextOptions(count=-1)
