"""The loss of target values as a function of δ, the change of the z layer's output (ROME, arXiv 2202.05262, eq. 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.options import TargetValueOptions
from editflow.editing.editors.suffixes import Suffixes, run_shared_prefixes, split_into_passes
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import KVPrefix
from editflow.editing.models.lm_head import Divergence, Loss, Nll, log_probs, losses, losses_and_gradients


@dataclass(frozen=True)
class AnswerTokens:
    """The places where the loss reads the head: suffix row, position, expected token, weight and fact, (M,) each."""

    row: Tensor
    position: Tensor
    token: Tensor
    weight: Tensor
    fact: Tensor

    @classmethod
    def build(cls, facts: Sequence[Fact], device: torch.device) -> AnswerTokens:
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
class FactGroup:
    """Facts whose context rows share a pass; `indices` (f,) are their positions among all facts."""

    facts: Sequence[Fact]
    indices: Tensor
    contexts: Suffixes
    answers: AnswerTokens

    @classmethod
    def build(cls, facts: Sequence[Fact], indices: Tensor, contexts: Suffixes) -> FactGroup:
        return cls(facts, indices, contexts, AnswerTokens.build(facts, indices.device))

    def select(self, chosen: Tensor) -> FactGroup:
        """Keep only the group's facts at these positions."""
        facts = [self.facts[i] for i in chosen.tolist()]
        return FactGroup.build(facts, self.indices[chosen], self.contexts.select(chosen))


@dataclass(frozen=True)
class TargetValueLoss:
    """The loss of each fact as a function of its δ, for the unfinished facts at `indices`.

    `base` are the base model's log-probabilities after the KL prompts, empty until `with_base` computes them.
    """

    model: EditableModel
    z_layer: int
    options: TargetValueOptions
    groups: Sequence[FactGroup]
    kl_rows: Suffixes
    indices: Tensor
    base: Tensor

    @classmethod
    @torch.no_grad()
    def build(
        cls, model: EditableModel, z_layer: int, facts: Sequence[Fact], options: TargetValueOptions
    ) -> TargetValueLoss:
        indices = torch.arange(len(facts), device=model.device)
        empty = KVPrefix.empty(len(facts), model.device)
        kl_rows = Suffixes.build(model, z_layer, [fact.kl_row for fact in facts], empty, 1)
        groups = list(_build_groups(model, z_layer, facts, options))
        return cls(model, z_layer, options, groups, kl_rows, indices, torch.empty(0))

    @torch.no_grad()
    def with_base(self) -> TargetValueLoss:
        """Set `base` to the KL prompts' distribution at δ = 0."""
        zero = torch.zeros_like(self.kl_rows.hidden[:, 0])
        states = self.kl_rows.final_states(self.model, self.z_layer, zero)[:, 0]
        return replace(self, base=log_probs(self.model, states))

    def select(self, active: Tensor) -> TargetValueLoss:
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

    def kl(self, delta: Tensor) -> tuple[Tensor, StateGradients]:
        """KL(edited ‖ base) of each unfinished fact, (all facts,), zero for the others."""
        states = self.kl_rows.final_states(self.model, self.z_layer, delta[self.indices])[:, 0]
        kl, gradients = self._read_head(states, Divergence(self.base))
        return kl.new_zeros(len(delta)).index_copy(0, self.indices, kl), gradients

    def nll(self, group: FactGroup, delta: Tensor) -> tuple[Tensor, Tensor, StateGradients]:
        """NLL of each fact of a group, (f,), and whether its whole target is the argmax, (f,).

        Without the option `after_argmax` the argmax is not computed, and the second is always false.
        """
        count, answers = len(group.facts), group.answers
        final = group.contexts.final_states(self.model, self.z_layer, delta[group.indices])
        states = final[answers.row, answers.position]
        argmax = torch.full_like(answers.token, -1)
        nll, gradients = self._read_head(states, Nll(answers.token, argmax if self.options.after_argmax else None))
        return answers.mean_by_fact(nll, count), answers.all_by_fact(argmax == answers.token, count), gradients

    def _read_head(self, states: Tensor, loss: Loss) -> tuple[Tensor, StateGradients]:
        if not states.requires_grad:
            return losses(self.model, states, loss), StateGradients(states, states)
        values, gradient = losses_and_gradients(self.model, states, loss)
        return values, StateGradients(states, gradient)


@dataclass(frozen=True)
class StateGradients:
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
) -> Iterator[FactGroup]:
    n = len(facts[0].rows)
    shared = run_shared_prefixes(model, [row for fact in facts for row in fact.rows], n)
    lengths = [n * max(len(row.suffix) for row in fact.rows) for fact in facts]
    for indices in split_into_passes(lengths, options.tokens_per_pass):
        part = [facts[i] for i in indices]
        rows = [row for fact in part for row in fact.rows]
        start = shared.select(torch.arange(n, device=model.device).repeat(len(part)))
        contexts = Suffixes.build(model, z_layer, rows, start, n)
        yield FactGroup.build(part, torch.tensor(indices, device=model.device), contexts)
