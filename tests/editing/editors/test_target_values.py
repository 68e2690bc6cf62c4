"""Target values of many facts together equal those of the published loop for one fact at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from oracle import literal
from oracle.rows import added, layer_output
from oracle.tiny import LLAMA
from support.tiny_words import facts_of, word_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.options import TargetValueOptions
from editflow.editing.editors.target_values import TargetValue, optimise
from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.loading import as_editable
from editflow.editing.requests.record import EditRequest

pytestmark = pytest.mark.exhaustive

OPTIONS = TargetValueOptions(learning_rate=0.3, steps=12, stop_at=1.2, tokens_per_pass=80)
LAYER = 1


def by_the_book(
    model: EditableModel, fact: Fact, options: TargetValueOptions, layer: int = LAYER
) -> literal.TargetValueTrace:
    return literal.target_value(
        model.model,
        model.layers[layer],
        [row.ids for row in fact.rows],
        [row.lookup for row in fact.rows],
        fact.rows[0].target,
        fact.kl_row.ids,
        fact.kl_row.lookup,
        lr=options.learning_rate,
        steps=options.steps,
        clamp=options.clamp,
        weight_decay=options.weight_decay,
        kl_factor=options.kl,
        stop_at=options.stop_at,
    )


def assert_equal(value: TargetValue, trace: literal.TargetValueTrace) -> None:
    assert torch.allclose(value.z, trace.z, atol=1e-7)
    assert value.loss == pytest.approx(trace.losses[-1], abs=1e-8)
    assert value.nll == pytest.approx(trace.nlls[-1], abs=1e-8)
    assert value.steps == len(trace.losses)
    assert value.h_norm == pytest.approx(float(trace.h.norm()))
    assert value.delta_norm == pytest.approx(float(trace.delta.norm()), abs=1e-8)


@pytest.mark.parametrize("tokens_per_pass", [1, 50, 1000])
def test_losses_and_values_equal_the_literal_loop(
    tiny: EditableModel, requests: list[EditRequest], tokens_per_pass: int
) -> None:
    facts = facts_of(tiny, requests)
    options = replace(OPTIONS, tokens_per_pass=tokens_per_pass)
    values = optimise(tiny, LAYER, facts, options)
    assert {value.request_id for value in values} == set("abcde")
    for fact, value in zip(facts, values, strict=True):
        assert_equal(value, by_the_book(tiny, fact, options))
    wrong = by_the_book(tiny, facts[0], replace(options, weight_decay=5.0))
    assert not torch.allclose(values[0].z, wrong.z, atol=1e-4)  # control: another loss, another value


def test_the_shared_prefix_of_a_single_fact_is_its_whole_prefix(
    tiny: EditableModel, requests: list[EditRequest]
) -> None:
    """The common prefix of a pass runs first; for a single fact it is the whole prefix."""
    facts = facts_of(tiny, requests)
    together = optimise(tiny, LAYER, facts, OPTIONS)
    for fact, value in zip(facts, together, strict=True):
        (alone,) = optimise(tiny, LAYER, [fact], OPTIONS)
        assert torch.allclose(alone.z, value.z, atol=1e-7)
    assert not torch.allclose(together[0].z, together[1].z, atol=1e-3)  # control


def test_facts_must_have_equal_numbers_of_contexts(llama: EditableModel, requests: list[EditRequest]) -> None:
    facts = [*facts_of(llama, requests[:1]), *facts_of(llama, requests[1:], ())]
    with pytest.raises(InvalidOption, match="different numbers of contexts"):
        optimise(llama, LAYER, facts, OPTIONS)


def test_facts_that_stop_early_keep_their_value(llama: EditableModel, requests: list[EditRequest]) -> None:
    facts = facts_of(llama, requests)
    never = replace(OPTIONS, stop_at=0.0, learning_rate=0.5, clamp=3.0)
    reached = sorted(value.loss for value in optimise(llama, LAYER, facts, never))
    loose = replace(never, stop_at=(reached[1] + reached[2]) / 2)
    values = optimise(llama, LAYER, facts, loose)
    assert len({value.steps for value in values}) > 1
    for fact, value in zip(facts, values, strict=True):
        assert_equal(value, by_the_book(llama, fact, loose))
        assert value.stopped == ("loss" if value.loss < loose.stop_at else "steps")


def says(model: EditableModel, fact: Fact, value: TargetValue) -> bool:
    """Whether z* at the last layer makes the target the most likely continuation in every context."""
    module, plain = model.layers[3], fact.rows[0]
    # Added is δ, not z*: a context's own output differs from the plain prompt's.
    delta = value.z - layer_output(model.model, module, plain.ids)[plain.lookup]
    is_argmax = []
    for row in fact.rows:
        with added(module, row.lookup, delta):
            is_argmax.append(literal.score(model.model, row.ids, row.target)[1])
    return all(is_argmax)


@pytest.mark.parametrize("patience", [1, 3])
def test_facts_stop_k_steps_after_their_target_is_the_argmax(
    llama: EditableModel, requests: list[EditRequest], patience: int
) -> None:
    """Each fact stops at the first step that ends `patience` + 1 evaluations with the target as argmax."""
    facts = facts_of(llama, [replace(request, prompt="who is {}") for request in requests], ("it is . ",))
    never = replace(OPTIONS, stop_at=-1.0, learning_rate=1.0, clamp=30.0, steps=14)
    course = [optimise(llama, 3, facts, replace(never, steps=n)) for n in range(1, never.steps + 1)]
    stopped = optimise(llama, 3, facts, replace(never, after_argmax=patience))
    for i, (fact, value) in enumerate(zip(facts, stopped, strict=True)):
        is_argmax = [says(llama, fact, at[i]) for at in course]
        ends = [n + 1 for n in range(patience, len(is_argmax)) if all(is_argmax[n - patience : n + 1])]
        assert value.steps == min([*ends, never.steps])
        assert torch.allclose(value.z, course[value.steps - 1][i].z, atol=1e-9)
        assert value.stopped == ("argmax" if value.steps < never.steps else "steps")
    assert any(value.stopped == "argmax" for value in stopped)  # control: it does stop some


def test_a_bfloat16_forward_pass_keeps_float32_values(requests: list[EditRequest]) -> None:
    torch.manual_seed(11)
    model = as_editable(LlamaForCausalLM(LlamaConfig(**LLAMA)), word_tokenizer())
    facts = facts_of(model, requests)
    wide = optimise(model, LAYER, facts, OPTIONS)
    narrow = optimise(model, LAYER, facts, replace(OPTIONS, forward="bfloat16"))
    assert all(value.z.dtype == torch.float32 for value in narrow)
    assert all(a.nll == pytest.approx(b.nll, rel=0.1) for a, b in zip(narrow, wide, strict=True))
    assert any(a.nll != b.nll for a, b in zip(narrow, wide, strict=True))  # control: the forward pass is another
    assert [a.h_norm for a in narrow] == [b.h_norm for b in wide]  # what is not stepped is as exact as ever


def test_the_clamp_holds_and_one_evaluation_changes_nothing(llama: EditableModel, requests: list[EditRequest]) -> None:
    facts = facts_of(llama, requests)
    tight = replace(OPTIONS, clamp=0.05, stop_at=0.0)
    assert all(v.delta_norm <= 0.05 * v.h_norm * (1 + 1e-9) for v in optimise(llama, LAYER, facts, tight))
    assert all(v.delta_norm > 0.05 * v.h_norm for v in optimise(llama, LAYER, facts, replace(tight, clamp=5.0)))
    still = optimise(llama, LAYER, facts, replace(OPTIONS, steps=1))
    assert all(v.delta_norm == 0 and v.steps == 1 for v in still)


@pytest.mark.parametrize("tokens_per_pass", [1, 30, 60, 90, 1000])
def test_order_of_facts_and_size_of_passes_do_not_matter(
    llama: EditableModel, requests: list[EditRequest], tokens_per_pass: int
) -> None:
    """Up to rounding, since the facts of a pass determine its padding."""
    facts = facts_of(llama, requests)
    straight = optimise(llama, LAYER, facts, OPTIONS)
    turned = optimise(llama, LAYER, facts[::-1], replace(OPTIONS, tokens_per_pass=tokens_per_pass))[::-1]
    assert [value.request_id for value in turned] == [fact.request.request_id for fact in facts]
    for a, b in zip(straight, turned, strict=True):
        assert torch.allclose(a.z, b.z, rtol=0, atol=1e-6)
        assert (a.steps, a.stopped) == (b.steps, b.stopped)
    # The control: each fact has a value of its own, which another fact's is not.
    assert all(not torch.allclose(a.z, b.z, rtol=0, atol=1e-3) for a, b in pairwise(straight))


def test_sorting_does_not_depend_on_the_order_given(llama: EditableModel, requests: list[EditRequest]) -> None:
    assert facts_of(llama, requests) == facts_of(llama, requests[::-1])


def test_the_last_layer_and_a_prompt_without_contexts_work(tiny: EditableModel, requests: list[EditRequest]) -> None:
    """δ at the last layer affects only the next token, so these prompts end with their subjects."""
    facts = facts_of(tiny, [replace(request, prompt="who is {}") for request in requests], ())
    for fact, value in zip(facts, optimise(tiny, 3, facts, OPTIONS), strict=True):
        assert_equal(value, by_the_book(tiny, fact, OPTIONS, layer=3))
        assert not torch.allclose(value.z, by_the_book(tiny, fact, OPTIONS).z, atol=1e-3)  # control: another layer


def test_the_last_layer_cannot_change_later_tokens(tiny: EditableModel, requests: list[EditRequest]) -> None:
    facts = facts_of(tiny, [replace(request, prompt="who is {} then") for request in requests], ())
    for fact, last, lower in zip(facts, *(optimise(tiny, n, facts, OPTIONS) for n in (3, LAYER)), strict=True):
        unedited, _ = literal.score(tiny.model, fact.rows[0].ids, fact.rows[0].target)
        assert last.nll == pytest.approx(unedited, abs=1e-8)
        assert lower.nll < unedited - 0.1  # control: a lower layer can


def test_progress_and_non_finite_weights(llama: EditableModel, requests: list[EditRequest]) -> None:
    done: list[float] = []
    facts = facts_of(llama, requests)
    optimise(llama, LAYER, facts, replace(OPTIONS, steps=2), done.append)
    assert done == [2.5, 2.5]  # every step is its share of all five facts' work
    done.clear()
    optimise(llama, LAYER, facts, replace(OPTIONS, stop_at=1e9), done.append)
    assert done == [5]  # who stops early has no work left
    llama.weight(3)[:] = torch.nan
    with pytest.raises(NonFinite, match=f"request .*{facts[0].request.request_id}"):
        optimise(llama, LAYER, facts, OPTIONS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0},
        {"steps": 0},
        {"clamp": 0},
        {"kl": -1},
        {"kl_prompt": "is a"},
        {"tokens_per_pass": 0},
        {"after_argmax": -1},
        {"forward": "fp8"},
    ],
)
def test_options_are_checked_when_they_are_built(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidOption, match=f"target_values.*{next(iter(wrong))}"):
        TargetValueOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
def test_a_narrow_model_is_optimised_in_float32(requests: list[EditRequest], narrow: torch.dtype) -> None:
    """In float16 Adam's squares of small gradients are zero, and steps are not finite."""
    torch.manual_seed(0)
    model = as_editable(LlamaForCausalLM(LlamaConfig(**LLAMA)).to(narrow), word_tokenizer())
    facts = facts_of(model, requests)
    options = replace(OPTIONS, stop_at=-1.0)
    found = optimise(model, LAYER, facts, options)
    unmoved = optimise(model, LAYER, facts, replace(options, steps=1))
    model.model.float()
    wide = optimise(model, LAYER, facts, options)
    for value, before, exact in zip(found, unmoved, wide, strict=True):
        assert value.z.dtype == torch.float32
        assert value.nll < before.nll - 0.2
        assert value.nll == pytest.approx(exact.nll, abs=0.1)
