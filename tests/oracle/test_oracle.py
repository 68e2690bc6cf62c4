"""The oracle's equations have the properties that define them; each property has a control that violates it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from oracle import literal
from oracle import tiny as tiny_models
from oracle.rows import linear_inputs

EXACT = {"rtol": 1e-9, "atol": 1e-10}  # float64 round-off through solves of a few dozen rows

CONTEXTS = [[5, 17, 42, 99], [7, 3, 5, 17, 42, 99, 8], [150, 5, 17, 42, 99]]  # subject 17 42, plain first
LOOKUP = [2, 4, 3]


def random_problem() -> SimpleNamespace:
    """Residuals, keys and a C0 of rank 14 in 20 dimensions, so that P has rank 6."""
    g = torch.Generator().manual_seed(1)
    R, K1, Kp, K0 = (
        torch.randn(shape, generator=g, dtype=torch.float64) for shape in [(8, 5), (20, 5), (20, 9), (20, 14)]
    )
    return SimpleNamespace(R=R, K1=K1, Kp=Kp, K0=K0, C0=K0 @ K0.T / 14, lam=0.7)


def alphaedit_gradient(problem: SimpleNamespace, delta: torch.Tensor, P: torch.Tensor) -> torch.Tensor:
    """d/dΔ of ‖ΔP K1 − R‖² + ‖ΔP Kp‖² + λ‖ΔP‖², by autograd."""
    D = delta.clone().requires_grad_()
    cost = (D @ P @ problem.K1 - problem.R).square().sum() + (D @ P @ problem.Kp).square().sum()
    cost = cost + problem.lam * (D @ P).square().sum()
    return torch.autograd.grad(cost, D)[0]


def test_alphaedit_is_the_stationary_point_of_its_objective_and_lives_in_the_null_space():
    p = random_problem()
    P = literal.projector(p.C0, 1e-6)
    delta = literal.alphaedit_delta(p.R, p.K1, p.Kp, P, p.lam)
    torch.testing.assert_close(delta @ P, delta, **EXACT)
    torch.testing.assert_close(delta @ p.K0, torch.zeros(8, 14, dtype=torch.float64), **EXACT)
    assert alphaedit_gradient(p, delta, P).abs().max() < 1e-9
    for wrong in (
        literal.alphaedit_delta(p.R, p.K1, p.Kp, P, 2 * p.lam),
        literal.alphaedit_delta(p.R, p.K1, None, P, p.lam),
    ):
        assert alphaedit_gradient(p, wrong, P).abs().max() > 1e-2
    unprojected = literal.alphaedit_delta(p.R, p.K1, p.Kp, torch.eye(20), p.lam)
    assert (unprojected @ p.K0).abs().max() > 1e-2


def test_alphaedit_without_earlier_keys_is_alphaedit_with_none_of_them():
    p = random_problem()
    P = literal.projector(p.C0, 1e-6)
    alone = literal.alphaedit_delta(p.R, p.K1, None, P, p.lam)
    torch.testing.assert_close(literal.alphaedit_delta(p.R, p.K1, p.Kp[:, :0], P, p.lam), alone, **EXACT)
    assert not torch.allclose(literal.alphaedit_delta(p.R, p.K1, p.Kp, P, p.lam), alone, rtol=1e-3)


@pytest.mark.parametrize("with_earlier", [False, True])
def test_memit_is_stacked_least_squares(with_earlier):
    """min ‖ΔK1 − R‖² + ‖ΔKp‖² + α‖Δ C0^½‖², as one least-squares problem in the rows of Δᵀ."""
    p = random_problem()
    C0 = p.C0 + 0.1 * torch.eye(20)  # full rank, or the problem has no single answer
    earlier = p.Kp if with_earlier else None
    fits = torch.cat([p.K1, *([p.Kp] if with_earlier else []), 3.0**0.5 * torch.linalg.cholesky(C0)], dim=1)
    values = torch.cat([p.R, torch.zeros(8, fits.shape[1] - 5, dtype=torch.float64)], dim=1)
    expected = torch.linalg.lstsq(fits.T, values.T).solution.T
    torch.testing.assert_close(literal.memit_delta(p.R, p.K1, earlier, C0, 3.0), expected, **EXACT)
    assert not torch.allclose(literal.memit_delta(p.R, p.K1, earlier, C0, 4.0), expected, rtol=1e-3)


def test_projector_keeps_directions_below_the_threshold():
    q, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(2)).double())
    energies = torch.tensor([4.0, 1.0, 0.5, 0.03, 0.01, 0.0], dtype=torch.float64)
    C0 = q @ energies.diag() @ q.T
    P = literal.projector(C0, 0.03 - 1e-9)
    torch.testing.assert_close(P @ P, P, **EXACT)
    torch.testing.assert_close(P, P.T, **EXACT)
    torch.testing.assert_close(P, q[:, 4:] @ q[:, 4:].T, **EXACT)
    assert (P @ C0 @ P).trace().item() == pytest.approx(0.01)
    assert literal.projector(C0, 0.03 + 1e-9).trace().item() == pytest.approx(3)


def test_second_moment_is_the_gram_matrix_of_keys_computed_from_the_mlp_input(tiny):
    rows = [[5, 17, 42, 99], [8], [7, 3, 150, 61, 120]]
    mlp, seen = tiny.layers[1].mlp, []
    handle = mlp.register_forward_pre_hook(lambda _m, args: seen.append(args[0][0]))
    with torch.no_grad():
        for ids in rows:
            tiny.model(torch.tensor([ids]))
        handle.remove()
        keys = [tiny.key_of(mlp, x) for x in seen]
    total, count = literal.second_moment(tiny.model, tiny.linears[1], rows)
    stacked = torch.cat(keys)
    torch.testing.assert_close(total, stacked.T @ stacked, **EXACT)
    assert count == 10
    later, fewer = literal.second_moment(tiny.model, tiny.linears[1], rows, skip_first=1)
    stacked = torch.cat([k[1:] for k in keys])
    torch.testing.assert_close(later, stacked.T @ stacked, **EXACT)
    assert fewer == 7
    assert not torch.allclose(later, total, rtol=1e-3)


def test_context_key_weighs_the_plain_prompt_by_half(tiny):
    contexts, lookup = [*CONTEXTS, *CONTEXTS[1:], CONTEXTS[1]], [*LOOKUP, *LOOKUP[1:], LOOKUP[1]]
    linear = tiny.linears[2]
    keys = [linear_inputs(tiny.model, linear, ids)[at] for ids, at in zip(contexts, lookup, strict=True)]
    got = literal.context_key(tiny.model, linear, contexts, lookup)
    weights = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]
    torch.testing.assert_close(got, sum(w * k for w, k in zip(weights, keys, strict=True)), **EXACT)
    assert not torch.allclose(got, torch.stack(keys).mean(dim=0), rtol=1e-3)
    assert torch.equal(literal.context_key(tiny.model, linear, contexts[:1], lookup[:1]), keys[0])


class Successor(nn.Module):
    """Predicts token + 1 with probability 1 − e⁻¹⁰⁰: a perfect model of counting."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(100.0, dtype=torch.float64))

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(logits=self.sharpness * nn.functional.one_hot(input_ids + 1, tiny_models.VOCAB).double())


def test_score_of_a_perfect_model():
    model = Successor().eval()
    assert literal.score(model, [3, 4, 5], [6, 7, 8]) == (pytest.approx(0.0, abs=1e-12), True)
    nll, right = literal.score(model, [3, 4, 5], [6, 9])
    assert (nll, right) == (pytest.approx(50.0), False)  # one token of the two costs 100 nats
    with pytest.raises(ValueError, match=r"training mode.*model\.eval\(\)"):
        literal.score(model.train(), [3], [4])


def test_score_is_the_chain_rule_over_growing_rows(tiny):
    """Teacher forcing in one pass equals one pass per token."""
    prompt, target, nlls = CONTEXTS[0], [61, 120, 33], []
    with torch.no_grad():
        for j, token in enumerate(target):
            logits = tiny.model(torch.tensor([prompt + target[:j]])).logits[0, -1]
            nlls.append(-logits.log_softmax(-1)[token].item())
    assert literal.score(tiny.model, prompt, target)[0] == pytest.approx(sum(nlls) / 3, rel=1e-9)
    assert literal.score(tiny.model, prompt, target[::-1])[0] != pytest.approx(sum(nlls) / 3, rel=1e-3)
    best = int(tiny.model(torch.tensor([prompt])).logits[0, -1].argmax())
    assert literal.score(tiny.model, prompt, [best])[1]
