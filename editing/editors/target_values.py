"""Target values z*: the wanted output of the z layer at the subject's last token, optimised for many facts at once.

If a norm follows the layer's down-projection, z* is the wanted output of the down-projection
(`EditableModel.target_module`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.options import TargetValueOptions
from editflow.editing.editors.suffixes import Suffixes, run_shared_prefixes, split_into_passes
from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.models.attention import short_rows
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix
from editflow.editing.models.lm_head import Divergence, Loss, Nll, log_probs, losses, losses_and_gradients
from editflow.editing.models.precision import narrow_products


@dataclass(frozen=True)
class TargetValue:
    """z* (d,) of one fact, with the terms of the last loss, the number of evaluations, and why it stopped."""

    request_id: str
    z: Tensor
    h_norm: float
    delta_norm: float
    loss: float
    nll: float
    kl: float
    weight_decay: float
    steps: int
    stopped: str


@dataclass(frozen=True)
class _Answers:
    """The places where the loss reads the head: suffix row, position, expected token, weight and fact, (M,) each."""

    row: Tensor
    position: Tensor
    token: Tensor
    weight: Tensor
    fact: Tensor

    @classmethod
    def build(cls, facts: Sequence[Fact], device: torch.device) -> _Answers:
        n = len(facts[0].rows)
        flat = [
            (i * n + j, position, token, 1.0 / (n * len(row.target)), i)
            for i, fact in enumerate(facts)
            for j, row in enumerate(fact.rows)
            for position, token in zip(row.answers, row.target, strict=True)
        ]
        row, position, token, weight, fact = (torch.tensor(column, device=device) for column in zip(*flat, strict=True))
        return cls(row, position, token, weight.double(), fact)

    def mean_by_fact(self, losses: Tensor, facts: int) -> Tensor:
        """Each fact's mean loss (facts,) over contexts and tokens, from the losses (M,)."""
        return losses.new_zeros(facts).index_add(0, self.fact, losses * self.weight.to(losses.dtype))

    def all_by_fact(self, values: Tensor, facts: int) -> Tensor:
        """Whether all of each fact's booleans (M,) are true, (facts,)."""
        false = torch.zeros(facts, dtype=torch.int64, device=values.device).index_add(0, self.fact, (~values).long())
        return false == 0


@dataclass(frozen=True)
class _Group:
    """Facts whose context rows share a pass; `indices` (f,) are their positions among all facts."""

    facts: Sequence[Fact]
    indices: Tensor
    contexts: Suffixes
    answers: _Answers

    @classmethod
    def build(cls, facts: Sequence[Fact], indices: Tensor, contexts: Suffixes) -> _Group:
        return cls(facts, indices, contexts, _Answers.build(facts, indices.device))

    def select(self, chosen: Tensor) -> _Group:
        """Keep only the group's facts at these positions."""
        facts = [self.facts[i] for i in chosen.tolist()]
        return _Group.build(facts, self.indices[chosen], self.contexts.select(chosen))


@dataclass(frozen=True)
class _Problem:
    """The loss of each fact as a function of its δ, for the unfinished facts at `indices`.

    `base` are the base model's log-probabilities after the KL prompts, empty until `with_base` computes them.
    """

    model: EditableModel
    z_layer: int
    options: TargetValueOptions
    groups: Sequence[_Group]
    kl_rows: Suffixes
    indices: Tensor
    base: Tensor

    @classmethod
    @torch.no_grad()
    def build(cls, model: EditableModel, z_layer: int, facts: Sequence[Fact], options: TargetValueOptions) -> _Problem:
        indices = torch.arange(len(facts), device=model.device)
        empty = KVPrefix.empty(len(facts), model.device)
        kl_rows = Suffixes.build(model, z_layer, [fact.kl_row for fact in facts], empty, 1)
        groups = list(_build_groups(model, z_layer, facts, options))
        return cls(model, z_layer, options, groups, kl_rows, indices, torch.empty(0))

    @torch.no_grad()
    def with_base(self) -> _Problem:
        """Set `base` to the KL prompts' distribution at δ = 0."""
        zero = torch.zeros_like(self.kl_rows.hidden[:, 0])
        states = self.kl_rows.final_states(self.model, self.z_layer, zero)[:, 0]
        return replace(self, base=log_probs(self.model, states))

    def select(self, active: Tensor) -> _Problem:
        """Keep only the facts that are `active` (all facts,)."""
        masks = [active[group.indices] for group in self.groups]
        # Groups that have become small are not merged, since their rows are padded to different lengths.
        groups = [
            group if bool(mask.all()) else group.select(mask.nonzero()[:, 0])
            for group, mask in zip(self.groups, masks, strict=True)
            if bool(mask.any())
        ]
        kept = active[self.indices].nonzero()[:, 0]
        kl_rows, indices, base = self.kl_rows.select(kept), self.indices[kept], self.base[kept]
        return replace(self, groups=groups, kl_rows=kl_rows, indices=indices, base=base)

    def kl(self, delta: Tensor) -> tuple[Tensor, _StateGradients]:
        """KL(edited ‖ base) of each unfinished fact, (all facts,), zero for the others."""
        states = self.kl_rows.final_states(self.model, self.z_layer, delta[self.indices])[:, 0]
        kl, gradients = self._read_head(states, Divergence(self.base))
        return kl.new_zeros(len(delta)).index_copy(0, self.indices, kl), gradients

    def nll(self, group: _Group, delta: Tensor) -> tuple[Tensor, Tensor, _StateGradients]:
        """NLL of each fact of a group, (f,), and whether its whole target is the argmax, (f,).

        Without the option `after_argmax` the argmax is not computed, and the second is always false.
        """
        count, answers = len(group.facts), group.answers
        final = group.contexts.final_states(self.model, self.z_layer, delta[group.indices])
        states = final[answers.row, answers.position]
        argmax = torch.full_like(answers.token, -1)
        nll, gradients = self._read_head(states, Nll(answers.token, argmax if self.options.after_argmax else None))
        return answers.mean_by_fact(nll, count), answers.all_by_fact(argmax == answers.token, count), gradients

    def _read_head(self, states: Tensor, loss: Loss) -> tuple[Tensor, _StateGradients]:
        if not states.requires_grad:
            return losses(self.model, states, loss), _StateGradients(states, states)
        values, gradient = losses_and_gradients(self.model, states, loss)
        return values, _StateGradients(states, gradient)


@dataclass(frozen=True)
class _StateGradients:
    """Final states (M, d), and the gradient (M, d) of each state's own loss.

    The states are in autograd's graph if gradients are enabled.
    """

    states: Tensor
    gradient: Tensor

    def backward(self, weight: Tensor) -> None:
        """Add the gradient of the losses' sum, weighted by `weight` (M,), to the gradient of δ."""
        if self.states.requires_grad and bool(weight.any()):
            # Autocast in the backward pass would narrow what the forward pass kept wide.
            with torch.autocast(self.states.device.type, enabled=False):
                self.states.backward(self.gradient * weight.to(self.gradient.dtype)[:, None])  # type: ignore[no-untyped-call]


def _build_groups(
    model: EditableModel, z_layer: int, facts: Sequence[Fact], options: TargetValueOptions
) -> Iterator[_Group]:
    n = len(facts[0].rows)
    shared = run_shared_prefixes(model, [row for fact in facts for row in fact.rows], n)
    lengths = [n * max(len(row.suffix) for row in fact.rows) for fact in facts]
    for indices in split_into_passes(lengths, options.tokens_per_pass):
        part = [facts[i] for i in indices]
        rows = [row for fact in part for row in fact.rows]
        start = shared.select(torch.arange(n, device=model.device).repeat(len(part)))
        contexts = Suffixes.build(model, z_layer, rows, start, n)
        yield _Group.build(part, torch.tensor(indices, device=model.device), contexts)


def optimise(
    model: EditableModel,
    z_layer: int,
    facts: Sequence[Fact],
    options: TargetValueOptions,
    progress: Callable[[float], None] = lambda _done: None,
) -> list[TargetValue]:
    """Return z* of each fact, in the order given. Sort by `facts.sort_by_length` first: adjacent facts share passes.

    Equals the published loop (ROME, arXiv 2202.05262, eq. 4, as in MEMIT's and AlphaEdit's code). There is no step
    after the last evaluation, so the reported losses belong to the returned δ. All facts step together. Memory holds
    the prefixes' keys and values and the KL prompts of all facts; the memory for contexts in a step is bounded by
    `options.tokens_per_pass`. All facts must have the same number of contexts. `progress` receives the work done since
    the last call, in units of facts. Raises NonFinite naming the request.
    """
    if not facts:
        return []
    if len({len(fact.rows) for fact in facts}) > 1:
        raise InvalidOption("the facts have different numbers of contexts: tokenise all with the same contexts")
    with short_rows(model):
        # h and the prefixes are computed in the model's own dtype; only the steps may use a narrower one.
        search = _Search(_Problem.build(model, z_layer, facts, options))
        with narrow_products(model, z_layer) if options.forward == "bfloat16" else nullcontext():
            return search.run(progress)


class _Search:
    """The optimisation's state: δ of all facts, which are unfinished, and the values found."""

    def __init__(self, problem: _Problem) -> None:
        self.problem, self.options = problem, problem.options
        contexts = [group.contexts for group in problem.groups]
        h = torch.cat([rows.target_output[:: rows.rows_per_fact] for rows in contexts])
        # At least float32 even for a narrower model, in which squares of gradients overflow or vanish.
        self.h = h.to(torch.promote_types(h.dtype, torch.float32))
        self.h_norm = self.h.norm(dim=-1)
        self.delta = torch.zeros_like(self.h, requires_grad=True)
        self.adam = torch.optim.Adam([self.delta], lr=self.options.learning_rate)
        self.active = torch.ones(len(self.h), dtype=torch.bool, device=self.h.device)
        # Number of successive evaluations in which the target was the argmax.
        self.argmax_streak = torch.zeros(len(self.h), dtype=torch.int64, device=self.h.device)
        self.found: dict[int, TargetValue] = {}

    def run(self, progress: Callable[[float], None]) -> list[TargetValue]:
        """Evaluate and step until every fact is finished."""
        self.problem = self.problem.with_base()
        for step in range(1, self.options.steps + 1):
            before = self.work_left(step - 1)
            self.evaluate(step)
            progress(before - self.work_left(step))
            if not self.active.any():
                break
            self.step()
        return [self.found[i] for i in range(len(self.active))]

    def work_left(self, step: int) -> float:
        """Upper bound of the work after `step`, in units of facts."""
        return float(self.active.sum()) * (1 - step / self.options.steps)

    def evaluate(self, step: int) -> None:
        """Evaluate every loss and, for the unfinished facts, the gradients."""
        self.adam.zero_grad()
        last = step == self.options.steps
        with torch.set_grad_enabled(not last):
            kl, kl_gradients = self.problem.kl(self.delta)
            decay = self.options.weight_decay * self.delta.norm(dim=-1) / self.h_norm**2
            fixed = torch.stack([self.options.kl * kl, decay]).detach()
            for group in self.problem.groups:
                nll, is_argmax, nll_gradients = self.problem.nll(group, self.delta)
                self._record_finished(group, torch.stack([nll, *fixed[:, group.indices]]), is_argmax, step)
                nll_gradients.backward(group.answers.weight * self.active[group.indices][group.answers.fact])
            kl_gradients.backward(self.options.kl * self.active[self.problem.indices])
            if not last and self.active.any():
                decay[self.active].sum().backward()

    def step(self) -> None:
        """Take an Adam step for the unfinished facts and project δ back into its ball."""
        self.adam.step()
        limit = self.options.clamp * self.h_norm
        with torch.no_grad():
            norm = self.delta.norm(dim=-1).clamp_min(torch.finfo(self.delta.dtype).tiny)
            self.delta *= (limit / norm).clamp_max(1.0)[:, None]
            if len(self.problem.indices) > int(self.active.sum()):
                self.problem = self.problem.select(self.active)

    def _record_finished(self, group: _Group, terms: Tensor, is_argmax: Tensor, step: int) -> None:
        """Record the values of the facts that finish now; `terms` (3, f) are NLL, weighted KL and weighted decay."""
        total = terms.sum(0)
        _require_finite(total, group.facts)
        streak = torch.where(is_argmax, self.argmax_streak[group.indices] + 1, 0)
        self.argmax_streak[group.indices] = streak
        below = (total < self.options.stop_at).tolist()
        stable = (streak > self.options.after_argmax).tolist() if self.options.after_argmax else below
        for place, (i, fact) in enumerate(zip(group.indices.tolist(), group.facts, strict=True)):
            if below[place] or stable[place] or step == self.options.steps:
                reason = "loss" if below[place] else "steps" if step == self.options.steps else "argmax"
                self.active[i] = False
                self.found[i] = _target_value(fact, self.h[i], self.delta[i], terms[:, place], step, reason)


def _target_value(fact: Fact, h: Tensor, delta: Tensor, terms: Tensor, steps: int, stopped: str) -> TargetValue:
    delta = delta.detach()
    nll, kl, decay = terms.tolist()
    return TargetValue(
        fact.request.request_id, (h + delta).cpu(), float(h.norm()), float(delta.norm()),
        nll + kl + decay, nll, kl, decay, steps, stopped,
    )  # fmt: skip


def _require_finite(total: Tensor, facts: Sequence[Fact]) -> None:
    bad = (~torch.isfinite(total)).nonzero()[:, 0].tolist()
    if bad:
        names = ", ".join(facts[i].request.request_id for i in bad)
        raise NonFinite(f"the loss of request {names} is not finite: check the model's weights, or lower learning_rate")
