"""Target values z*: the wanted output of the z layer at the subject's last token, optimised for many facts at once.

If a norm follows the layer's down-projection, z* is the wanted output of the down-projection
(`EditableModel.target_module`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.options import TargetValueOptions
from editflow.editing.editors.target_value_loss import FactGroup, TargetValueLoss
from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.models.attention import short_rows
from editflow.editing.models.editable import EditableModel
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
        search = _Search(TargetValueLoss.build(model, z_layer, facts, options))
        with narrow_products(model, z_layer) if options.forward == "bfloat16" else nullcontext():
            return search.run(progress)


class _Search:
    """The optimisation's state: δ of all facts, which are unfinished, and the values found."""

    def __init__(self, loss: TargetValueLoss) -> None:
        self.loss, self.options = loss, loss.options
        contexts = [group.contexts for group in loss.groups]
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
        self.loss = self.loss.with_base()
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
            kl, kl_gradients = self.loss.kl(self.delta)
            decay = self.options.weight_decay * self.delta.norm(dim=-1) / self.h_norm**2
            fixed = torch.stack([self.options.kl * kl, decay]).detach()
            for group in self.loss.groups:
                nll, is_argmax, nll_gradients = self.loss.nll(group, self.delta)
                self._record_finished(group, torch.stack([nll, *fixed[:, group.indices]]), is_argmax, step)
                nll_gradients.backward(group.answers.weight * self.active[group.indices][group.answers.fact])
            kl_gradients.backward(self.options.kl * self.active[self.loss.indices])
            if not last and self.active.any():
                decay[self.active].sum().backward()

    def step(self) -> None:
        """Take an Adam step for the unfinished facts and project δ back into its ball."""
        self.adam.step()
        limit = self.options.clamp * self.h_norm
        with torch.no_grad():
            norm = self.delta.norm(dim=-1).clamp_min(torch.finfo(self.delta.dtype).tiny)
            self.delta *= (limit / norm).clamp_max(1.0)[:, None]
            if len(self.loss.indices) > int(self.active.sum()):
                self.loss = self.loss.select(self.active)

    def _record_finished(self, group: FactGroup, terms: Tensor, is_argmax: Tensor, step: int) -> None:
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
