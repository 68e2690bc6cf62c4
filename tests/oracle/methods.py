"""The formulas of the other methods, written out one symbol at a time as in `literal`; shares no code with EditFlow.

    solving      memit_delta (literal's, with λ)  rome_delta
    afterwards   projected_delta  filtered_delta  rect_delta  prune_weight
    training     fine_tune

Sources: MEMIT (arXiv 2210.07229), ROME (2202.05262), AlphaEdit (2410.02355), REVIVE (2601.11042), RECT (2401.04700),
PRUNE (2405.16821).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from oracle import literal
from oracle.rows import row_logits


def memit_delta(R: Tensor, K1: Tensor, Kp: Tensor | None, C0: Tensor, alpha: float, lam: float) -> Tensor:
    """Δ = R K1ᵀ (K1 K1ᵀ + Kp Kpᵀ + α C0 + λ I)⁻¹, (d_out, d_in)."""
    return literal.memit_delta(R, K1, Kp, C0 + lam / alpha * torch.eye(len(C0), dtype=C0.dtype), alpha)


def rome_delta(r: Tensor, k: Tensor, C0: Tensor, lam: float) -> Tensor:
    """Δ = r (C⁻¹ k)ᵀ / ((C⁻¹ k)ᵀ k) with C = C0 + λ I, for one residual r (d_out,) and one key k (d_in,)."""
    u = torch.linalg.inv(C0 + lam * torch.eye(len(C0), dtype=C0.dtype)) @ k
    return torch.outer(r, u) / torch.dot(u, k)


def projected_delta(delta: Tensor, P: Tensor) -> Tensor:
    """Δ P."""
    return delta @ P


def filtered_delta(delta: Tensor, W0: Tensor, share: float) -> Tensor:
    """U M Vᵀ where M = Uᵀ Δ V with its first k rows and columns put to 0, U and V all singular vectors of W0.

    k is the smallest number whose largest singular values squared make up the share of all of them.
    """
    U, S, Vt = torch.linalg.svd(W0, full_matrices=True)
    total, k, seen = float((S**2).sum()), 0, 0.0
    while seen < share * total:
        seen += float(S[k] ** 2)
        k += 1
    M = U.T @ delta @ Vt.T
    M[:k, :] = 0.0
    M[:, :k] = 0.0
    return U @ M @ Vt


def rect_delta(delta: Tensor, W: Tensor, keep: float) -> Tensor:
    """Δ with all entries set to 0 except the share `keep` with the largest |Δ / W|."""
    rows, columns = delta.shape
    places = [(i, j) for i in range(rows) for j in range(columns)]
    relative = {(i, j): abs(float(delta[i, j])) / abs(float(W[i, j])) for i, j in places}
    kept = torch.zeros_like(delta)
    for i, j in sorted(places, key=lambda place: -relative[place])[: round(keep * rows * columns)]:
        kept[i, j] = delta[i, j]
    return kept


def prune_weight(W: Tensor, delta: Tensor, W0: Tensor, base: float) -> Tensor:
    """W0 + Σ F(σ_i) u_i v_iᵀ over the singular triples of the total change W + Δ − W0.

    F(σ) = σ where σ ≤ σ_max(W0), else σ_max(W0) + log_base σ − log_base σ_max(W0).
    """
    limit = float(torch.linalg.svdvals(W0)[0])
    U, S, Vt = torch.linalg.svd(W + delta - W0, full_matrices=False)
    new = W0.clone()
    for i, sigma in enumerate(S.tolist()):
        f = sigma if sigma <= limit else limit + math.log(sigma, base) - math.log(limit, base)
        new += f * torch.outer(U[:, i], Vt[i])
    return new


def fine_tune(
    model: nn.Module,
    modules: Sequence[nn.Module],
    facts: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    lr: float,
    steps: int,
    eps: float,
    stop_at: float,
) -> list[float]:
    """Adam on the modules' weights themselves, one fact and one forward pass at a time; the loss before each step.

    `facts` are (prompt ids, target ids). After each step every entry is put back into [w − ε, w + ε] around its start.
    """
    weights = [module.get_parameter("weight") for module in modules]
    start = [weight.detach().clone() for weight in weights]
    adam = torch.optim.Adam(weights, lr=lr)
    losses: list[float] = []
    for _ in range(steps):
        each = []
        for prompt, target in facts:
            for weight in weights:
                weight.requires_grad_(True)
            log_probs = row_logits(model, [*prompt, *target[:-1]]).log_softmax(-1)
            nll = [-log_probs[len(prompt) - 1 + j, token] for j, token in enumerate(target)]
            each.append(torch.stack(nll).mean())
        loss = torch.stack(each).mean()
        losses.append(loss.item())
        if losses[-1] < stop_at:
            break
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = gradient
        adam.step()
        with torch.no_grad():
            for weight, before in zip(weights, start, strict=True):
                weight.copy_(torch.minimum(torch.maximum(weight, before - eps), before + eps))
    for weight in weights:
        weight.requires_grad_(False)
        weight.grad = None
    return losses
