"""Target values z*: the wanted output of the z layer at the subject's last token, optimised for many facts at once.

Where a norm follows the layer's down-projection, it is what that module should give: `EditableModel.target_place`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.options import TargetValueOptions
from editflow.editing.editors.suffixes import Suffixes, shared, split
from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.models.attention import short_rows
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix
from editflow.editing.models.lm_head import Divergence, Loss, Nll, log_probs, losses, losses_and_gradients
from editflow.editing.models.precision import narrow_products


@dataclass(frozen=True)
class TargetValue:
    """z* (d,) of one fact and how it was found: the terms of the last loss, and the number of evaluations."""

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
    """Where the loss reads the head: suffix row, position, wanted token, weight and whose it is, (M,) each."""

    row: Tensor
    position: Tensor
    token: Tensor
    weight: Tensor
    owner: Tensor

    @classmethod
    def build(cls, facts: Sequence[Fact], device: torch.device) -> _Answers:
        each = len(facts[0].rows)
        flat = [
            (i * each + j, position, token, 1.0 / (each * len(row.target)), i)
            for i, fact in enumerate(facts)
            for j, row in enumerate(fact.rows)
            for position, token in zip(row.answers, row.target, strict=True)
        ]
        row, position, token, weight, owner = (
            torch.tensor(column, device=device) for column in zip(*flat, strict=True)
        )
        return cls(row, position, token, weight.double(), owner)

    def total(self, each: Tensor, facts: int) -> Tensor:
        """Weighted sums (facts,) of what the answers (M,) lost: a mean over contexts and tokens."""
        return each.new_zeros(facts).index_add(0, self.owner, each * self.weight.to(each.dtype))

    def every(self, each: Tensor, facts: int) -> Tensor:
        """Whether every answer (M,) of each fact is true, (facts,)."""
        return torch.zeros(facts, dtype=torch.int64, device=each.device).index_add(0, self.owner, (~each).long()) == 0


@dataclass(frozen=True)
class _Group:
    """Facts whose context rows run together; `numbers` (f,) are their places among all."""

    facts: Sequence[Fact]
    numbers: Tensor
    contexts: Suffixes
    answers: _Answers

    @classmethod
    def build(cls, facts: Sequence[Fact], numbers: Tensor, contexts: Suffixes) -> _Group:
        return cls(facts, numbers, contexts, _Answers.build(facts, numbers.device))

    def of(self, places: Tensor) -> _Group:
        """Only the facts at the given places."""
        return _Group.build([self.facts[i] for i in places.tolist()], self.numbers[places], self.contexts.of(places))


@dataclass(frozen=True)
class _Problem:
    """The loss of each fact as a function of its δ, for the facts that are still sought."""

    model: EditableModel
    z_layer: int
    options: TargetValueOptions
    passes: Sequence[_Group]
    essence: Suffixes
    numbers: Tensor
    base: Tensor

    @classmethod
    @torch.no_grad()
    def build(cls, model: EditableModel, z_layer: int, facts: Sequence[Fact], options: TargetValueOptions) -> _Problem:
        numbers = torch.arange(len(facts), device=model.device)
        subjects = [fact.essence for fact in facts]
        nothing = KVPrefix.empty(len(facts), model.device)
        essence = Suffixes.build(model, z_layer, subjects, nothing, 1)
        passes = list(_passes(model, z_layer, facts, options))
        return cls(model, z_layer, options, passes, essence, numbers, torch.empty(0))

    @torch.no_grad()
    def rested(self) -> _Problem:
        """With the KL prompt's distribution at δ = 0 as `base`."""
        unmoved = torch.zeros_like(self.essence.hidden[:, 0])
        return replace(self, base=log_probs(self.model, self.essence.final(self.model, self.z_layer, unmoved)[:, 0]))

    def of(self, active: Tensor) -> _Problem:
        """Only the facts that are `active` (all facts,)."""
        places = [active[part.numbers] for part in self.passes]
        # Passes that have grown small are not joined: their rows are padded to another length.
        passes = [
            part if bool(stay.all()) else part.of(stay.nonzero()[:, 0])
            for part, stay in zip(self.passes, places, strict=True)
            if bool(stay.any())
        ]
        kept = active[self.numbers].nonzero()[:, 0]
        essence, numbers, base = self.essence.of(kept), self.numbers[kept], self.base[kept]
        return replace(self, passes=passes, essence=essence, numbers=numbers, base=base)

    def kl(self, delta: Tensor) -> tuple[Tensor, _Pull]:
        """KL(edited ‖ base) of each sought fact, (all facts,), zero for the others."""
        states = self.essence.final(self.model, self.z_layer, delta[self.numbers])[:, 0]
        kl, pull = self._read(states, Divergence(self.base))
        return kl.new_zeros(len(delta)).index_copy(0, self.numbers, kl), pull

    def nll(self, part: _Group, delta: Tensor) -> tuple[Tensor, Tensor, _Pull]:
        """NLL of each fact of a pass, (f,), and whether its target is now the argmax, (f,), if a fact can stop for
        that."""
        count, answers = len(part.facts), part.answers
        final = part.contexts.final(self.model, self.z_layer, delta[part.numbers])
        states = final[answers.row, answers.position]
        said = torch.full_like(answers.token, -1)
        each, pull = self._read(states, Nll(answers.token, said if self.options.after_argmax else None))
        return answers.total(each, count), answers.every(said == answers.token, count), pull

    def _read(self, states: Tensor, loss: Loss) -> tuple[Tensor, _Pull]:
        if not states.requires_grad:
            return losses(self.model, states, loss), _Pull(states, states)
        found, gradient = losses_and_gradients(self.model, states, loss)
        return found, _Pull(states, gradient)


@dataclass(frozen=True)
class _Pull:
    """Final states (M, d), in autograd's graph where they want a gradient, and that (M, d) of each one's own loss."""

    states: Tensor
    gradient: Tensor

    def backward(self, weight: Tensor) -> None:
        """Add to δ's gradient that of the losses' sum with `weight` (M,)."""
        if self.states.requires_grad and bool(weight.any()):
            # A way back through autocast would narrow what the way there kept wide; narrow products stay so by type.
            with torch.autocast(self.states.device.type, enabled=False):
                self.states.backward(self.gradient * weight.to(self.gradient.dtype)[:, None])  # type: ignore[no-untyped-call]


def _passes(model: EditableModel, z_layer: int, facts: Sequence[Fact], options: TargetValueOptions) -> Iterator[_Group]:
    each = len(facts[0].rows)
    trunks = shared(model, [row for fact in facts for row in fact.rows], each)
    lengths = [each * max(len(row.suffix) for row in fact.rows) for fact in facts]
    for places in split(lengths, options.tokens_per_pass):
        part = [facts[i] for i in places]
        rows = [row for fact in part for row in fact.rows]
        on = trunks.select(torch.arange(each, device=model.device).repeat(len(part)))
        contexts = Suffixes.build(model, z_layer, rows, on, each)
        yield _Group.build(part, torch.tensor(places, device=model.device), contexts)


def optimise(
    model: EditableModel,
    z_layer: int,
    facts: Sequence[Fact],
    options: TargetValueOptions,
    progress: Callable[[float], None] = lambda _done: None,
) -> list[TargetValue]:
    """z* of each fact, in the order given (sort by `facts.cost_order` first: neighbours of like length share a pass).

    Equals the published loop (ROME, arXiv 2202.05262, eq. 4, as in MEMIT's and AlphaEdit's code): it stops before the
    step after the last evaluation, so the losses reported are those of the δ returned. All facts take their steps
    together: the prefixes' keys and values of all and what the KL prompt needs are held at once, while what a step
    holds of the contexts is bounded by `options.tokens_per_pass`. Every fact must have the same number of contexts.
    `progress` is called with the facts' worth of work done since. Raises NonFinite naming the request.
    """
    if not facts:
        return []
    if len({len(fact.rows) for fact in facts}) > 1:
        raise InvalidOption("facts with different numbers of contexts cannot share their steps: prepare all alike")
    with short_rows(model):
        # What stays, h above all, is computed in the model's own type; the steps may be narrower.
        search = _Search(_Problem.build(model, z_layer, facts, options))
        with narrow_products(model, z_layer) if options.forward == "bfloat16" else nullcontext():
            return search.run(progress)


class _Search:
    """δ of all facts, where each has got to, and the values found."""

    def __init__(self, problem: _Problem) -> None:
        self.problem, self.options = problem, problem.options
        # At least float32, also where the model is narrower: the squares of gradients are out of range there.
        h = torch.cat([part.contexts.at[:: part.contexts.each] for part in problem.passes])
        self.h = h.to(torch.promote_types(h.dtype, torch.float32))
        self.h_norm = self.h.norm(dim=-1)
        self.delta = torch.zeros_like(self.h, requires_grad=True)
        self.adam = torch.optim.Adam([self.delta], lr=self.options.learning_rate)
        self.active = torch.ones(len(self.h), dtype=torch.bool, device=self.h.device)
        # How many evaluations in a row had the target as argmax.
        self.held = torch.zeros(len(self.h), dtype=torch.int64, device=self.h.device)
        self.found: dict[int, TargetValue] = {}

    def run(self, progress: Callable[[float], None]) -> list[TargetValue]:
        """Step after step until every fact is done."""
        self.problem = self.problem.rested()
        for step in range(1, self.options.steps + 1):
            before = self.work_left(step - 1)
            self.evaluate(step)
            progress(before - self.work_left(step))
            if not self.active.any():
                break
            self.step()
        return [self.found[i] for i in range(len(self.active))]

    def work_left(self, step: int) -> float:
        """Facts' worth of steps after `step`, at most."""
        return float(self.active.sum()) * (1 - step / self.options.steps)

    def evaluate(self, step: int) -> None:
        """One evaluation of every loss and, for the unfinished facts, the gradients."""
        self.adam.zero_grad()
        last = step == self.options.steps
        with torch.set_grad_enabled(not last):
            kl, pull = self.problem.kl(self.delta)
            decay = self.options.weight_decay * self.delta.norm(dim=-1) / self.h_norm**2
            fixed = torch.stack([self.options.kl * kl, decay]).detach()
            for part in self.problem.passes:
                nll, said, contexts = self.problem.nll(part, self.delta)
                self._settle(part, torch.stack([nll, *fixed[:, part.numbers]]), said, step)
                contexts.backward(part.answers.weight * self.active[part.numbers][part.answers.owner])
            pull.backward(self.options.kl * self.active[self.problem.numbers])
            if not last and self.active.any():
                decay[self.active].sum().backward()

    def step(self) -> None:
        """Adam's step of the unfinished facts; δ stays in its ball."""
        self.adam.step()
        limit = self.options.clamp * self.h_norm
        with torch.no_grad():
            norm = self.delta.norm(dim=-1).clamp_min(torch.finfo(self.delta.dtype).tiny)
            self.delta *= (limit / norm).clamp_max(1.0)[:, None]
            if len(self.problem.numbers) > int(self.active.sum()):
                self.problem = self.problem.of(self.active)

    def _settle(self, part: _Group, terms: Tensor, said: Tensor, step: int) -> None:
        """Keep the values of the facts that are done; `terms` (3, f) are NLL, weighted KL and weighted decay."""
        total = terms.sum(0)
        _require_finite(total, part.facts)
        self.held[part.numbers] = torch.where(said, self.held[part.numbers] + 1, 0)
        under = (total < self.options.stop_at).tolist()
        patient = (self.held[part.numbers] > self.options.after_argmax).tolist() if self.options.after_argmax else under
        for place, (number, fact) in enumerate(zip(part.numbers.tolist(), part.facts, strict=True)):
            if under[place] or patient[place] or step == self.options.steps:
                reason = "loss" if under[place] else "steps" if step == self.options.steps else "argmax"
                self.active[number] = False
                self.found[number] = _value(fact, self.h[number], self.delta[number], terms[:, place], step, reason)


def _value(fact: Fact, h: Tensor, delta: Tensor, terms: Tensor, steps: int, stopped: str) -> TargetValue:
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
