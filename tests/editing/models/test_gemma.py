"""Gemma 2 and 3: a norm after the down-projection, capped scores and logits, sliding windows in alternate layers."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from oracle import literal, methods
from oracle.rows import layer_output, row_logits
from oracle.tiny import FAMILIES
from support.tiny_words import facts_of, word_tokenizer

from editflow.editing.editors.batch import Solver, edit_batch
from editflow.editing.editors.facts import Fact
from editflow.editing.editors.fine_tuning import fine_tune
from editflow.editing.editors.ft import FtOptions
from editflow.editing.editors.options import TargetValueOptions
from editflow.editing.editors.target_values import TargetValue, optimise
from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.moment_solvers import RankOne
from editflow.editing.linalg.null_space import NullSpace
from editflow.editing.linalg.projected_ridge import ProjectedRidge
from editflow.editing.linalg.spectrum import decompose
from editflow.editing.linalg.threshold import Threshold
from editflow.editing.metrics.scoring import score
from editflow.editing.models.attention import short_rows
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, run
from editflow.editing.models.generation import continue_texts
from editflow.editing.models.hidden_states import hidden_states
from editflow.editing.models.lm_head import Nll, losses_and_gradients
from editflow.editing.models.loading import as_editable
from editflow.editing.models.moments import second_moments
from editflow.editing.models.tokens import encode
from editflow.editing.requests.record import EditRequest

LAYER = 2
OPTIONS = TargetValueOptions(learning_rate=0.3, steps=8, stop_at=0.0, clamp=3.0, tokens_per_pass=80)
PROMPTS = ["the capital of France is", "Anna", "who lives in Lyon , says that the city is blue . Because I see"]


@pytest.fixture(params=["gemma2", "gemma3_text"])
def normed(request: pytest.FixtureRequest) -> EditableModel:
    torch.manual_seed(11)
    return as_editable(FAMILIES[request.param]().model, word_tokenizer(bos=True))


@pytest.fixture
def facts(normed: EditableModel, requests: list[EditRequest]) -> list[Fact]:
    return facts_of(normed, requests[:3])


def by_the_book(model: EditableModel, module: torch.nn.Module, fact: Fact) -> literal.TargetValueTrace:
    return literal.target_value(
        model.model, module, [row.ids for row in fact.rows], [row.lookup for row in fact.rows], fact.rows[0].target,
        fact.kl_row.ids, fact.kl_row.lookup, lr=0.3, steps=8, clamp=3.0, weight_decay=OPTIONS.weight_decay,
        kl_factor=OPTIONS.kl, stop_at=0.0,
    )  # fmt: skip


def target_nlls(model: EditableModel, facts: list[Fact]) -> torch.Tensor:
    """Mean NLL (n,) of each target after its plain prompt, by the plain transformers model."""
    found = [literal.score(model.model, fact.rows[0].ids, fact.rows[0].target)[0] for fact in facts]
    return torch.tensor(found, dtype=torch.float64)


def test_target_values_are_the_literal_loops_at_the_down_projection(normed: EditableModel, facts: list[Fact]) -> None:
    for fact, value in zip(facts[:2], optimise(normed, LAYER, facts[:2], OPTIONS), strict=True):
        trace = by_the_book(normed, normed.down_projection(LAYER), fact)
        assert torch.allclose(value.z, trace.z, atol=1e-7)
        assert value.loss == pytest.approx(trace.losses[-1], abs=1e-8)
        assert value.h_norm == pytest.approx(float(trace.h.norm()))
    elsewhere = by_the_book(normed, normed.layers[LAYER], fact)
    assert not torch.allclose(value.z, elsewhere.z, atol=1e-2)  # control: the layer's output is another place


def alphaedit(model: EditableModel) -> dict[int, Solver]:
    """With a null space from random text: the half of the directions with the least energy."""
    generator = torch.Generator().manual_seed(5)
    text = torch.randint(2, 80, (20, 16), generator=generator).tolist()
    moment = second_moments(model, [LAYER], text, 256)[LAYER]
    space = NullSpace.from_spectrum(decompose(moment.mean()), Threshold("rank", 0.5))
    return {LAYER: ProjectedRidge(space, 1e-6)}


def test_alphaedit_makes_targets_likelier_and_a_zero_change_has_no_effect(
    normed: EditableModel, requests: list[EditRequest]
) -> None:
    facts = facts_of(normed, requests[:3], ())
    before = target_nlls(normed, facts)
    values = optimise(normed, LAYER, facts, replace(OPTIONS, steps=25))
    still = optimise(normed, LAYER, facts, replace(OPTIONS, steps=1))
    assert [value.delta_norm for value in still] == [0, 0, 0]
    edit_batch(normed, facts, still, alphaedit(normed), LAYER)
    assert torch.allclose(target_nlls(normed, facts), before, atol=1e-9)  # control
    edit_batch(normed, facts, values, alphaedit(normed), LAYER)
    after = target_nlls(normed, facts)
    assert bool((after < before).all())
    assert float((before - after).mean()) > 0.2


def test_romes_down_projection_returns_the_target_value(normed: EditableModel, requests: list[EditRequest]) -> None:
    facts = facts_of(normed, requests[:1], ())
    values: list[TargetValue] = optimise(normed, LAYER, facts, OPTIONS)
    before = target_nlls(normed, facts)
    edit_batch(normed, facts, values, {LAYER: RankOne(torch.eye(64, dtype=torch.float64), 0.0)}, LAYER)
    row = facts[0].rows[0]
    given = layer_output(normed.model, normed.down_projection(LAYER), row.ids)[row.lookup]
    assert torch.allclose(given, values[0].z, atol=1e-9)
    assert values[0].delta_norm > 0.1
    assert bool((target_nlls(normed, facts) < before).all())


def test_several_layers_are_refused_before_a_weight_changes(normed: EditableModel, facts: list[Fact]) -> None:
    weights = normed.weight(LAYER).clone()
    solvers = {layer: RankOne(torch.eye(64, dtype=torch.float64), 0.0) for layer in (1, LAYER)}
    with pytest.raises(InvalidOption, match=r"edit one layer"):
        edit_batch(normed, facts, [], solvers, LAYER)
    assert torch.equal(normed.weight(LAYER), weights)


def test_fine_tuning_equals_the_literal_loop_on_several_layers(normed: EditableModel, facts: list[Fact]) -> None:
    """It has no target values, so the norm does not matter; gradients pass through the cap."""
    start = {layer: normed.weight(layer).clone() for layer in (1, 2)}
    how = FtOptions(learning_rate=0.02, steps=3, stop_at=0.0, max_change=0.05)
    new = fine_tune(normed, [1, 2], facts, **asdict(how))
    for layer, weight in start.items():
        normed.replace(layer, weight)
    modules = [normed.down_projection(layer) for layer in start]
    book = [(fact.rows[0].ids, fact.rows[0].target) for fact in facts]
    losses = methods.fine_tune(normed.model, modules, book, lr=0.02, steps=3, eps=0.05, stop_at=0.0)
    assert losses[-1] < losses[0] - 0.1
    for layer, weight in new.items():
        assert torch.allclose(weight, normed.weight(layer), atol=1e-8)
        assert not torch.allclose(weight, start[layer], atol=1e-2)


def test_attention_for_short_rows_caps_scores(normed: EditableModel) -> None:
    sequences = [list(range(3, 15)), [9, 10, 11]]
    with short_rows(normed):
        found = normed.logits(run(normed, PaddedBatch.pad(sequences)))
    for row, ids in enumerate(sequences):
        assert torch.allclose(found[row, : len(ids)], row_logits(normed.model, ids), atol=1e-9)
    for layer in normed.layers:
        layer.self_attn.attn_logit_softcapping = None
    with short_rows(normed):
        free = normed.logits(run(normed, PaddedBatch.pad(sequences)))
    felt = normed.model.config.attn_logit_softcapping is not None
    assert torch.allclose(free, found, atol=1e-6) is not felt  # control


def test_gradients_through_the_cap_equal_the_plain_models(normed: EditableModel) -> None:
    """Compared with autograd through the model's own forward, by the input of the final norm."""
    ids, norm = [3, 9, 4, 20, 7], normed.base.get_submodule("norm")
    states = layer_output(normed.model, norm, ids).requires_grad_()
    handle = norm.register_forward_hook(lambda *_: states[None])
    try:
        logits = normed.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    finally:
        handle.remove()
    wanted = torch.arange(5) + 30
    lost = -logits.log_softmax(-1)[torch.arange(5), wanted]
    found, gradient = losses_and_gradients(normed, states.detach(), Nll(wanted))
    assert torch.allclose(found, lost, atol=1e-12)
    assert torch.allclose(gradient, torch.autograd.grad(lost.sum(), states)[0], atol=1e-12)
    uncapped = -normed.model.lm_head(states).log_softmax(-1)[torch.arange(5), wanted]
    capped = normed.model.config.final_logit_softcapping is not None
    assert torch.allclose(found, uncapped, atol=1e-3) is not capped  # control


def test_scores_equal_the_plain_models_in_any_pass(normed: EditableModel) -> None:
    asked = [(prompt, ["Paris", "Old Madrid"]) for prompt in PROMPTS]
    found = score(normed, asked)
    alone = score(normed, asked, prompts_per_pass=1)
    for (prompt, targets), together, single in zip(asked, found, alone, strict=True):
        for target, one, other in zip(targets, together, single, strict=True):
            ids, answer = encode(normed.tokenizer, prompt)[0], encode(normed.tokenizer, target)[0][1:]
            assert ids[0] == 1
            assert one.nll == pytest.approx(literal.score(normed.model, ids, answer)[0], abs=1e-9)
            assert one.nll == pytest.approx(other.nll, abs=1e-9)
            assert one.nll != pytest.approx(literal.score(normed.model, ids[1:], answer)[0], abs=1e-6)  # control


def test_cached_generation_equals_the_plain_models(normed: EditableModel) -> None:
    """Longer than the windows; the reference runs a whole pass without a cache for each token."""
    normed.tokenizer.add_tokens([f"w{n}" for n in range(len(normed.tokenizer), 200)])
    for prompt, text in zip(PROMPTS, continue_texts(normed, PROMPTS, 8), strict=True):
        ids = encode(normed.tokenizer, prompt)[0]
        for _ in range(8):
            ids = [*ids, int(row_logits(normed.model, ids)[-1].argmax())]
        assert text == normed.tokenizer.decode(ids[-8:], skip_special_tokens=True)


def test_hidden_states_are_the_residual_stream_after_the_norm(normed: EditableModel) -> None:
    found = hidden_states(normed, PROMPTS, [0, LAYER])
    for n, prompt in enumerate(PROMPTS):
        ids = torch.tensor([encode(normed.tokenizer, prompt)[0]])
        given = normed.model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
        for layer, states in found.items():
            assert torch.allclose(states[n], given[layer + 1][0, -1], atol=1e-9)
            assert not torch.allclose(states[n], given[layer][0, -1], atol=1e-3)  # control
