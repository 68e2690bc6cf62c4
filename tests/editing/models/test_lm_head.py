"""Losses of the head a few rows at a time equal autograd's, for any number of rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from editflow.editing.models import lm_head
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.lm_head import Divergence, Nll, log_probs, losses, losses_and_gradients

M = 7


@pytest.fixture
def states(every: EditableModel) -> Tensor:
    width = every.model.get_output_embeddings().weight.shape[1]
    return torch.randn(M, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3


@pytest.fixture(params=[2, 7, 100], ids=lambda rows: f"{rows} rows")
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm_head, "MAX_ROWS", request.param)


def _autograd(lost: Tensor, states: Tensor) -> Tensor:
    return torch.autograd.grad(lost.sum(), states)[0]


@pytest.mark.usefixtures("rows")
def test_nll_and_its_gradient_equal_autograds(every: EditableModel, states: Tensor) -> None:
    spread = log_probs(every, states.requires_grad_())
    tokens = spread.argmax(-1).clone()
    tokens[::2] = spread.argmin(-1)[::2]
    expected = -spread.gather(1, tokens[:, None])[:, 0]
    predicted = torch.full_like(tokens, -1)
    found, gradient = losses_and_gradients(every, states, Nll(tokens, predicted))
    assert torch.allclose(found, expected, atol=1e-12)
    assert torch.equal(found, losses(every, states, Nll(tokens)))
    assert torch.allclose(gradient, _autograd(expected, states), atol=1e-12)
    assert torch.equal(predicted, spread.argmax(-1))
    assert (predicted == tokens).tolist() == [bool(i % 2) for i in range(M)]
    other = losses_and_gradients(every, states, Nll(tokens.roll(1)))[1]
    assert not torch.allclose(gradient, other, atol=1e-3)  # control


@pytest.mark.usefixtures("rows")
def test_divergence_and_its_gradient_equal_autograds(every: EditableModel, states: Tensor) -> None:
    base = log_probs(every, states.roll(1, dims=0))
    spread = log_probs(every, states.requires_grad_())
    expected = (spread.exp() * (spread - base)).sum(-1)
    found, gradient = losses_and_gradients(every, states, Divergence(base))
    assert torch.allclose(found, expected, atol=1e-12)
    assert torch.allclose(gradient, _autograd(expected, states), atol=1e-12)
    assert float(gradient.norm()) > 1e-3  # control
    assert float(losses(every, states, Divergence(spread.detach())).abs().max()) < 1e-12


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16])
def test_a_narrow_heads_losses_are_in_float32(every: EditableModel, states: Tensor, narrow: torch.dtype) -> None:
    tokens = torch.arange(M) + 4
    exact, slope = losses_and_gradients(every, states, Nll(tokens))
    every.model.get_output_embeddings().to(narrow)
    found, gradient = losses_and_gradients(every, states.to(narrow), Nll(tokens))
    assert (found.dtype, gradient.dtype) == (torch.float32, narrow)
    assert torch.allclose(found.double(), exact, rtol=0.05, atol=0.05)
    assert torch.allclose(gradient.double(), slope, rtol=0.05, atol=0.05)


def test_autocast_outside_changes_nothing(every: EditableModel, states: Tensor) -> None:
    every.model.float()
    wide, tokens = states.float(), torch.arange(M) + 4
    plain = losses_and_gradients(every, wide, Nll(tokens))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = losses_and_gradients(every, wide, Nll(tokens))
        narrow = every.logits(wide)
    assert all(torch.equal(a, b) for a, b in zip(plain, inside, strict=True))
    assert narrow.dtype == torch.bfloat16  # control: autocast was active


def test_no_states_give_no_losses(every: EditableModel, states: Tensor) -> None:
    nothing = Nll(torch.zeros(0, dtype=torch.int64))
    assert losses(every, states[:0], nothing).shape == (0,)
    found, gradient = losses_and_gradients(every, states[:0], nothing)
    assert found.shape == (0,)
    assert gradient.shape == (0, states.shape[1])
