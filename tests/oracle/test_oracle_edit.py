"""The oracle's target values and edits have their defining properties; each has a control that violates it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from oracle import literal
from oracle.rows import layer_output, linear_inputs
from oracle.tiny import HIDDEN, INNER
from oracle.wide import widen

EXACT = {"rtol": 1e-9, "atol": 1e-10}  # float64 round-off through solves of a few dozen rows

CONTEXTS = [[5, 17, 42, 99], [7, 3, 5, 17, 42, 99, 8], [150, 5, 17, 42, 99]]  # subject 17 42, plain first
LOOKUP = [2, 4, 3]
TARGET, KL_ROW, KL_LOOKUP = [61, 120], [17, 42, 11], 1
SETTINGS = {"weight_decay": 0.5, "kl_factor": 0.0625}


def objective(tiny: SimpleNamespace, module: nn.Module | None = None) -> literal.Objective:
    return literal.Objective(
        tiny.model, module or tiny.layers[2], CONTEXTS, LOOKUP, TARGET, KL_ROW, KL_LOOKUP, **SETTINGS
    )


@pytest.mark.parametrize("norm", [LlamaRMSNorm, GemmaRMSNorm])
def test_widening_changes_rounding_only(norm):
    """A float64 norm computes with 24 bits (by `to` in Llama, by `float` in Gemma); widened, and copied, with 53."""
    model = nn.Sequential(norm(HIDDEN, eps=1e-6)).double()
    x = torch.randn(7, HIDDEN, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    exact = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    narrow = model(x)
    assert 1e-9 < (narrow / exact - 1).abs().max() < 1e-6
    widen(model)
    for wide in (model, deepcopy(model)):
        torch.testing.assert_close(wide(x), exact, rtol=1e-14, atol=0)


@pytest.mark.parametrize("tuple_output", [False, True], ids=["layer", "attention (a tuple)"])
def test_gradient_of_the_loss_matches_finite_differences(tiny, tuple_output):
    block = tiny.layers[2]
    attention = block.self_attn if hasattr(block, "self_attn") else block.attn
    loss = objective(tiny, attention if tuple_output else block)
    h, base = loss.h(), loss.base()
    delta = torch.randn(HIDDEN, generator=torch.Generator().manual_seed(3)).double().requires_grad_()
    (gradient,) = torch.autograd.grad(loss.terms(delta, h, base)[0], delta)
    step = 1e-5  # central differences: truncation ~ step², round-off ~ 1e-16 / step, both under 1e-9
    with torch.no_grad():
        for i in range(0, HIDDEN, 5):
            bump = step * torch.eye(HIDDEN, dtype=torch.float64)[i]
            up, down = loss.terms(delta + bump, h, base)[0], loss.terms(delta - bump, h, base)[0]
            assert ((up - down) / (2 * step)).item() == pytest.approx(gradient[i].item(), rel=1e-5, abs=1e-7)


def logits_under(tiny: SimpleNamespace, ids: list[int], position: int, delta: torch.Tensor) -> torch.Tensor:
    """The row's logits with δ added to layer 2's output at a position: the test's own hook."""
    nudge = torch.zeros(1, len(ids), HIDDEN, dtype=torch.float64)
    nudge[0, position] = delta

    def add(_module: object, _args: object, out: object) -> object:
        return (out[0] + nudge, *out[1:]) if isinstance(out, tuple) else out + nudge  # GPT-J's layers return tuples

    handle = tiny.layers[2].register_forward_hook(add)
    logits = tiny.model(torch.tensor([ids])).logits[0]
    handle.remove()
    return logits


@torch.no_grad()
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_the_terms_of_the_loss(tiny, scale):
    """NLL, KL and their sum by torch's own losses; without δ, the mean of the scores and KL 0."""
    loss = objective(tiny)
    h, base = loss.h(), loss.base()
    delta = scale * torch.linspace(-1, 1, HIDDEN, dtype=torch.float64)
    total, nll, kl = loss.terms(delta, h, base)
    nlls = [
        nn.functional.cross_entropy(logits_under(tiny, [*ids, TARGET[0]], at, delta)[-2:], torch.tensor(TARGET)).item()
        for ids, at in zip(CONTEXTS, LOOKUP, strict=True)
    ]
    assert nll.item() == pytest.approx(sum(nlls) / 3, rel=1e-12)
    edited = torch.distributions.Categorical(logits=logits_under(tiny, KL_ROW, KL_LOOKUP, delta)[KL_LOOKUP])
    plain = torch.distributions.Categorical(logits=base)
    expected = torch.distributions.kl_divergence(edited, plain).item()
    assert kl.item() == pytest.approx(expected, rel=1e-9, abs=1e-14)
    decay = 0.5 * (delta.square().sum() ** 0.5 / h.square().sum()).item()
    assert total.item() == pytest.approx(sum(nlls) / 3 + 0.0625 * expected + decay, rel=1e-12)
    scores = sum(literal.score(tiny.model, ids, TARGET)[0] for ids in CONTEXTS) / 3
    backwards = torch.distributions.kl_divergence(plain, edited).item()
    assert (nll.item() == pytest.approx(scores, rel=1e-9)) == (scale == 0)
    assert (kl.item() == pytest.approx(backwards, rel=1e-3, abs=1e-14)) == (scale == 0)


def descend(loss: literal.Objective, **changes) -> literal.TargetValueTrace:
    return literal.descend(loss, **{"lr": 0.1, "steps": 4, "clamp": 4.0, "stop_at": 0.05} | changes)


def test_adams_first_move_is_the_sign_of_the_gradient(tiny):
    loss = objective(tiny)
    origin = torch.zeros(HIDDEN, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss.terms(origin, loss.h(), loss.base())[0], origin)
    trace = descend(loss, steps=2)
    torch.testing.assert_close(trace.delta, -0.1 * gradient / (gradient.abs() + 1e-8), **EXACT)
    assert (trace.steps, len(trace.losses)) == (1, 2)
    torch.testing.assert_close(trace.z, trace.h + trace.delta, rtol=0, atol=0)


def test_the_loop_stops_clamps_and_leaves_the_model_unchanged(tiny):
    before = {name: p.clone() for name, p in tiny.model.named_parameters()}
    loss = objective(tiny)
    trace = descend(loss)
    assert (trace.steps, len(trace.losses), len(trace.nlls), len(trace.kls)) == (3, 4, 4, 4)
    assert trace.losses[-1] < trace.losses[0]
    called = literal.target_value(
        tiny.model, tiny.layers[2], CONTEXTS, LOOKUP, TARGET, KL_ROW, KL_LOOKUP,
        lr=0.1, steps=4, clamp=4.0, stop_at=0.05, **SETTINGS,
    )  # fmt: skip
    assert torch.equal(called.delta, trace.delta)  # the public function; hooks of the first run are removed

    early = descend(loss, stop_at=trace.losses[2] + 1e-9)
    assert (early.steps, early.losses) == (2, trace.losses[:3])
    tight = descend(loss, clamp=0.01)
    assert tight.delta.norm().item() == pytest.approx(0.01 * tight.h.norm().item(), rel=1e-12)
    assert trace.delta.norm() > 2 * tight.delta.norm()
    for name, p in tiny.model.named_parameters():
        assert torch.equal(p, before[name]), name
        assert p.grad is None, name


def test_the_loss_is_a_mean_over_contexts(tiny):
    """Repeating every context, in another order after the plain one, changes nothing; repeating one of them does."""
    loss = objective(tiny)
    order = [0, 2, 1, 1, 2, 0]
    doubled = replace(loss, context_ids=[CONTEXTS[i] for i in order], lookup=[LOOKUP[i] for i in order])
    uneven = replace(loss, context_ids=[*CONTEXTS, CONTEXTS[1]], lookup=[*LOOKUP, LOOKUP[1]])
    once = descend(loss)
    torch.testing.assert_close(descend(doubled).delta, once.delta, rtol=1e-7, atol=1e-9)
    assert not torch.allclose(descend(uneven).delta, once.delta, rtol=1e-3, atol=1e-4)


def test_one_edit_in_the_null_space_of_its_other_positions_is_delta_itself(tiny):
    """With P orthogonal to the row's other keys and λ → 0, the new weight has the same effect as δ's hook."""
    loss = replace(objective(tiny), context_ids=CONTEXTS[:1], lookup=LOOKUP[:1])
    trace = descend(loss)
    row = CONTEXTS[0] + TARGET[:-1]
    others = linear_inputs(tiny.model, tiny.linears[2], row)
    others = torch.cat([others[: LOOKUP[0]], others[LOOKUP[0] + 1 :]])
    original = tiny.linears[2].weight.detach().clone()
    fact = literal.Fact(CONTEXTS[:1], LOOKUP[:1], trace.z)

    def edited_nll(P: torch.Tensor) -> float:
        tiny.linears[2].weight.data.copy_(original)
        linears, blocks = {2: tiny.linears[2]}, {2: tiny.layers[2]}
        literal.edit_batch(tiny.model, linears, blocks, [fact], {2: P}, {}, 2, 1e-8, tiny.transposed)
        return literal.score(tiny.model, CONTEXTS[0], TARGET)[0]

    P = literal.projector(others.T @ others, 1e-9)
    # the gap left is about λ / ‖P k‖², the solve's round-off about 1e-16 ‖P k‖² / λ
    assert edited_nll(P) == pytest.approx(trace.nlls[-1], rel=1e-6)
    assert edited_nll(torch.eye(INNER, dtype=torch.float64)) != pytest.approx(trace.nlls[-1], rel=1e-3)


def test_a_batch_over_layers_reaches_its_targets_in_any_order(tiny):
    """λ → 0: the first layer closes half the gap, the second the rest; λ and earlier keys hold back."""
    g = torch.Generator().manual_seed(4)
    state = {name: t.clone() for name, t in tiny.model.state_dict().items()}
    prompts = [[5, 17, 42, 99], [30, 31, 32], [70, 71, 72, 73, 74]]
    h = [layer_output(tiny.model, tiny.layers[2], ids)[1] for ids in prompts]
    facts = [
        literal.Fact([ids], [1], at + torch.randn(HIDDEN, generator=g).double())
        for ids, at in zip(prompts, h, strict=True)
    ]
    chosen, eye = {2: tiny.linears[2], 1: tiny.linears[1]}, torch.eye(INNER, dtype=torch.float64)

    def edit(batch, lam, earlier):
        tiny.model.load_state_dict(state)
        blocks, P = {2: tiny.layers[2]}, {1: eye, 2: eye}
        done = literal.edit_batch(tiny.model, chosen, blocks, batch, P, earlier, 2, lam, tiny.transposed)
        out = [layer_output(tiny.model, tiny.layers[2], ids)[1] for ids in prompts]
        return done, max((o - f.z).abs().max().item() for o, f in zip(out, facts, strict=True))

    done, gap = edit(facts, 1e-8, {})
    assert gap < 1e-6
    assert list(done) == [1, 2]
    delta, K1 = done[1]
    R = torch.stack([f.z - at for f, at in zip(facts, h, strict=True)], dim=1)
    torch.testing.assert_close(delta @ K1, R / 2, rtol=1e-6, atol=1e-6)
    ridged, held_back = edit(facts, 10.0, {})
    assert held_back > 1e-2
    shuffled, _ = edit([facts[2], facts[0], facts[1]], 10.0, {})
    torch.testing.assert_close(shuffled[2][0], ridged[2][0], **EXACT)
    assert edit(facts, 1e-8, {1: None, 2: 10 * done[2][1]})[1] > 1e-2
