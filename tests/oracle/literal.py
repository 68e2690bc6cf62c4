"""The formulas written out one symbol at a time: the reference for tests of the fast code.

One fact, one row and one full forward pass at a time; no padding, no key-value cache, no low-rank algebra.
Whatever dtype the model runs in, what is read from it is widened to float64; for exact comparisons pass a
model through `wide.widen` first (Llama's norms narrow to float32). Shares no code with the package.

    tensors    alphaedit_delta  memit_delta  projector
    reading    second_moment  context_key  score (and rows.py: layer_output  linear_inputs  added)
    editing    Objective  target_value  descend  Fact  edit_batch

Sources: ROME (arXiv 2202.05262), MEMIT (arXiv 2210.07229), AlphaEdit (arXiv 2410.02355).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from oracle.rows import added, layer_output, linear_inputs, row_logits


def alphaedit_delta(R: Tensor, K1: Tensor, Kp: Tensor | None, P: Tensor, lam: float) -> Tensor:
    """Δ = R K1ᵀ P (Kp Kpᵀ P + K1 K1ᵀ P + λ I)⁻¹, (d_out, d_in); AlphaEdit, λ its L2.

    R (d_out, n) residuals, K1 (d_in, n) keys, Kp (d_in, N) earlier keys or None, P (d_in, d_in) projector.
    """
    R, K1, P = R.double(), K1.double(), P.double()
    M = K1 @ K1.T @ P + lam * torch.eye(P.shape[0], dtype=P.dtype, device=P.device)
    if Kp is not None:
        M = M + Kp.double() @ Kp.double().T @ P
    delta: Tensor = torch.linalg.solve(M, R @ K1.T @ P, left=False)
    return delta


def memit_delta(R: Tensor, K1: Tensor, Kp: Tensor | None, C0: Tensor, alpha: float) -> Tensor:
    """Δ = R K1ᵀ (K1 K1ᵀ + Kp Kpᵀ + α C0)⁻¹, (d_out, d_in); MEMIT, published without Kp.

    Shapes as in `alphaedit_delta`; C0 (d_in, d_in) is the mean second moment of the corpus's keys.
    """
    R, K1 = R.double(), K1.double()
    M = K1 @ K1.T + alpha * C0.double()
    if Kp is not None:
        M = M + Kp.double() @ Kp.double().T
    delta: Tensor = torch.linalg.solve(M, R @ K1.T, left=False)
    return delta


def projector(C0: Tensor, tau: float) -> Tensor:
    """P = Û Ûᵀ, Û the singular vectors of C0 (d, d), the mean second moment, with singular value < τ."""
    U, S, _ = torch.linalg.svd(C0.double(), full_matrices=True)
    kept: Tensor = U[:, tau > S]
    return kept @ kept.T


def second_moment(
    model: nn.Module, module: nn.Module, token_lists: Sequence[Sequence[int]], skip_first: int = 0
) -> tuple[Tensor, int]:
    """(Σ k kᵀ, number of keys) over each sequence's positions from `skip_first` on; C0 = Σ / number."""
    total: Tensor | None = None
    count = 0
    for ids in token_lists:
        for k in linear_inputs(model, module, ids)[skip_first:]:
            total = torch.outer(k, k) if total is None else total + torch.outer(k, k)
            count += 1
    if total is None:
        raise ValueError(f"no position is left in {len(token_lists)} sequences after skip_first={skip_first}")
    return total, count


def context_key(
    model: nn.Module, linear_module: nn.Module, context_ids: Sequence[Sequence[int]], lookup: Sequence[int]
) -> Tensor:
    """A fact's key (d_in,): ½ k(plain) + ½ mean over the sampled contexts of k; k(plain) if there are none.

    `context_ids[0]` is the plain prompt; `lookup[i]` the position of the subject's last token in row i.
    The mean of the group means of MEMIT's `compute_ks`.
    """
    keys = [linear_inputs(model, linear_module, ids)[at] for ids, at in zip(context_ids, lookup, strict=True)]
    if len(keys) == 1:
        return keys[0]
    return 0.5 * keys[0] + 0.5 * torch.stack(keys[1:]).mean(dim=0)


def _target_nlls(model: nn.Module, prompt_ids: Sequence[int], target_ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """−log p of each target token, teacher forced, and whether each is the argmax: two (len(target_ids),)."""
    if not prompt_ids or not target_ids:
        raise ValueError("the prompt and the target need at least one token each")
    first = len(prompt_ids) - 1
    log_probs = row_logits(model, [*prompt_ids, *target_ids[:-1]]).log_softmax(dim=-1)
    rows = [log_probs[first + j] for j in range(len(target_ids))]
    nlls = torch.stack([-row[token] for row, token in zip(rows, target_ids, strict=True)])
    hits = torch.tensor([int(row.argmax()) == token for row, token in zip(rows, target_ids, strict=True)])
    return nlls, hits


@torch.no_grad()
def score(model: nn.Module, prompt_ids: Sequence[int], target_ids: Sequence[int]) -> tuple[float, bool]:
    """(mean −log p of the target's tokens in nats, whether every one is the argmax), teacher forced."""
    nlls, hits = _target_nlls(model, prompt_ids, target_ids)
    return float(nlls.mean()), bool(hits.all())


@dataclass(frozen=True)
class Objective:
    """One fact's loss as a function of δ (MEMIT's `compute_z`); `context_ids[0]` is the plain prompt."""

    model: nn.Module
    layer_module: nn.Module
    context_ids: Sequence[Sequence[int]]  # without the target
    lookup: Sequence[int]  # δ's position in each context
    target_ids: Sequence[int]
    kl_ids: Sequence[int]
    kl_lookup: int  # δ's position in the KL row, and where its next token's distribution is compared
    weight_decay: float
    kl_factor: float

    def h(self) -> Tensor:
        """The layer's unedited output (d,) at the plain prompt's lookup position."""
        return layer_output(self.model, self.layer_module, self.context_ids[0])[self.lookup[0]]

    @torch.no_grad()
    def base(self) -> Tensor:
        """The KL row's log distribution (vocabulary,) with δ = 0."""
        return row_logits(self.model, self.kl_ids)[self.kl_lookup].log_softmax(dim=-1)

    def terms(self, delta: Tensor, h: Tensor, base: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(total, NLL, KL), total = NLL + kl_factor · KL(edited ‖ base) + weight_decay · ‖δ‖ / ‖h‖².

        NLL is the mean over contexts of the mean over the target's tokens; NLL and KL are unweighted nats.
        """
        rows = []
        for ids, at in zip(self.context_ids, self.lookup, strict=True):
            with added(self.layer_module, at, delta):
                rows.append(_target_nlls(self.model, ids, self.target_ids)[0].mean())
        nll = torch.stack(rows).mean()
        with added(self.layer_module, self.kl_lookup, delta):
            edited = row_logits(self.model, self.kl_ids)[self.kl_lookup].log_softmax(dim=-1)
        kl = (edited.exp() * (edited - base)).sum()
        decay = torch.linalg.vector_norm(delta) / torch.linalg.vector_norm(h) ** 2
        return nll + self.kl_factor * kl + self.weight_decay * decay, nll, kl


@dataclass
class TargetValueTrace:
    """The result and history of the loop: one entry per loss evaluation; `steps` counts the Adam steps."""

    delta: Tensor
    h: Tensor
    z: Tensor
    losses: list[float] = field(default_factory=list)
    nlls: list[float] = field(default_factory=list)
    kls: list[float] = field(default_factory=list)
    steps: int = 0


def target_value(
    model: nn.Module,
    layer_module: nn.Module,
    context_ids: list[list[int]],
    lookup: list[int],
    target_ids: list[int],
    kl_ids: list[int],
    kl_lookup: int,
    *,
    lr: float,
    steps: int,
    clamp: float,
    weight_decay: float,
    kl_factor: float,
    stop_at: float,
) -> TargetValueTrace:
    """z* = h + argmin_δ `Objective` under ‖δ‖ ≤ clamp · ‖h‖, approached by the published loop (`descend`)."""
    loss = Objective(model, layer_module, context_ids, lookup, target_ids, kl_ids, kl_lookup, weight_decay, kl_factor)
    return descend(loss, lr=lr, steps=steps, clamp=clamp, stop_at=stop_at)


def descend(loss: Objective, *, lr: float, steps: int, clamp: float, stop_at: float) -> TargetValueTrace:
    """Adam from δ = 0, then δ ← δ · min(1, clamp · ‖h‖ / ‖δ‖) after each step.

    The loss is evaluated at most `steps` times; the loop ends before a move when it is under `stop_at` and at
    the last evaluation, so at most `steps` − 1 moves are made, as in the published loop.
    """
    h, base = loss.h(), loss.base()
    delta = torch.zeros_like(h, requires_grad=True)
    trace = TargetValueTrace(delta=delta, h=h, z=h)
    adam = torch.optim.Adam([delta], lr=lr)
    for it in range(steps):
        total, nll, kl = loss.terms(delta, h, base)
        trace.losses.append(total.item())
        trace.nlls.append(nll.item())
        trace.kls.append(kl.item())
        if trace.losses[-1] < stop_at or it == steps - 1:
            break
        (delta.grad,) = torch.autograd.grad(total, (delta,))  # not backward(): the weights get no gradient
        adam.step()
        trace.steps += 1
        with torch.no_grad():
            if delta.norm() > clamp * h.norm():
                delta.mul_(clamp * h.norm() / delta.norm())
    trace.delta = delta.detach()
    trace.z = h + trace.delta
    return trace


@dataclass(frozen=True)
class Fact:
    """One fact ready to write: its contexts (the plain prompt first), lookups and target value z* (d,)."""

    context_ids: list[list[int]]
    lookup: list[int]
    z: Tensor


@torch.no_grad()
def edit_batch(
    model: nn.Module,
    modules: Mapping[int, nn.Module],
    layer_modules: Mapping[int, nn.Module],
    facts: Sequence[Fact],
    projectors: Mapping[int, Tensor],
    previous_keys: Mapping[int, Tensor | None],
    z_layer: int,
    lam: float,
    transposed: bool = False,
    solve: Callable[[int, Tensor, Tensor, Tensor], Tensor] | None = None,
) -> dict[int, tuple[Tensor, Tensor]]:
    """AlphaEdit's whole batch, layers ascending; edits the model and returns {layer: (Δ, K1)}.

    Another method's by `solve`: (layer, R, K1, W as it is by then) to Δ.

    At each layer, with the weights as they are by then: K1 the facts' keys, h the z layer's output at the
    plain prompts' lookups, R = (z* − h) / (layers left, this one included), W ← W + `alphaedit_delta`.
    `modules` are the linears to edit, `layer_modules[z_layer]` gives h. Δ is (d_out, d_in); `transposed`
    says that the parameter is (d_in, d_out), as in GPT-2's Conv1D.
    """
    done: dict[int, tuple[Tensor, Tensor]] = {}
    layers = sorted(modules)
    for i, layer in enumerate(layers):
        keys, gaps = [], []
        for fact in facts:
            keys.append(context_key(model, modules[layer], fact.context_ids, fact.lookup))
            h = layer_output(model, layer_modules[z_layer], fact.context_ids[0])[fact.lookup[0]]
            gaps.append(fact.z.double() - h)
        K1 = torch.stack(keys, dim=1)
        R = torch.stack(gaps, dim=1) / (len(layers) - i)
        weight = modules[layer].get_parameter("weight")
        if solve is None:
            delta = alphaedit_delta(R, K1, previous_keys.get(layer), projectors[layer], lam)
        else:
            delta = solve(layer, R, K1, (weight.T if transposed else weight).double())
        weight.add_((delta.T if transposed else delta).to(weight.dtype))
        done[layer] = (delta, K1)
    return done
