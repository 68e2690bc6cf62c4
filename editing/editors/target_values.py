"""Target values z*: what the z layer should say at the subject's last token, for many facts at once.

δ is added at that one position of the z layer's output. It changes nothing before that position and nothing below that
layer, so the prefix's attention keys and values and the z layer's output are computed once, and every step runs only
the layers above on the suffix, with the head only where the loss reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from editing.editors.facts import Fact, Row
from editing.editors.options import TargetValueOptions
from editing.errors import NonFinite
from editing.models.editable import EditableModel
from editing.models.rows import Prefix, Rows, capture, run, run_prefix


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
class _Suffixes:
    """Suffix rows on their prefixes; `owner` (B,) is the fact of each row, `hidden` (B, T, d) the z layer's output."""

    prefix: Prefix
    rows: Rows
    hidden: Tensor
    owner: Tensor

    @classmethod
    def build(cls, model: EditableModel, z_layer: int, rows: Sequence[Row], owner: Sequence[int]) -> _Suffixes:
        prefix = run_prefix(model, Rows.pad([row.prefix for row in rows], model.device))
        suffix = Rows.pad([row.suffix for row in rows], model.device)
        with capture(model.layers[z_layer], inputs=False) as outputs:
            run(model, suffix, prefix=prefix, last=z_layer)
        return cls(prefix, suffix, outputs[0], torch.tensor(owner, device=model.device))

    def of(self, facts: Tensor) -> _Suffixes:
        """Only the rows of the given facts, ascending; owners are renumbered to places in `facts`."""
        chosen = torch.isin(self.owner, facts).nonzero()[:, 0]
        owner = torch.searchsorted(facts, self.owner[chosen])
        rows = Rows(self.rows.ids[chosen], self.rows.mask[chosen])
        return _Suffixes(self.prefix.select(chosen), rows, self.hidden[chosen], owner)

    def final(self, model: EditableModel, z_layer: int, delta: Tensor) -> Tensor:
        """Final hidden states (B, T, d) with each row's δ (facts, d) added at its first position."""
        edited = self.hidden[:, :1] + delta[self.owner][:, None]
        hidden = torch.cat([edited, self.hidden[:, 1:]], dim=1)
        return run(model, self.rows, prefix=self.prefix, entering=(z_layer + 1, hidden))


@dataclass(frozen=True)
class _Answers:
    """Where the loss reads the head: suffix row, position, wanted token and weight, (M,) each."""

    row: Tensor
    position: Tensor
    token: Tensor
    weight: Tensor

    @classmethod
    def build(cls, rows: Sequence[Row], contexts: int, device: torch.device) -> _Answers:
        flat = [
            (i, position, token, 1.0 / (contexts * len(row.target)))
            for i, row in enumerate(rows)
            for position, token in zip(row.answers, row.target, strict=True)
        ]
        row, position, token, weight = zip(*flat, strict=True)
        return cls(
            torch.tensor(row, device=device),
            torch.tensor(position, device=device),
            torch.tensor(token, device=device),
            torch.tensor(weight, device=device, dtype=torch.float64),
        )

    def of(self, chosen: Tensor) -> _Answers:
        """Only the answers of the given suffix rows, ascending; rows are renumbered."""
        keep = torch.isin(self.row, chosen)
        row = torch.searchsorted(chosen, self.row[keep])
        return _Answers(row, self.position[keep], self.token[keep], self.weight[keep])

    def log_probs(self, model: EditableModel, final: Tensor) -> Tensor:
        """What the head says where the loss reads it, (M, vocabulary)."""
        return model.logits(final[self.row, self.position]).log_softmax(-1)

    def nll(self, log_probs: Tensor, owner: Tensor, facts: int) -> Tensor:
        """Mean NLL of each fact's target over its contexts and tokens, (facts,)."""
        losses = -log_probs.gather(1, self.token[:, None])[:, 0] * self.weight.to(log_probs.dtype)
        return torch.zeros(facts, dtype=losses.dtype, device=losses.device).index_add(0, owner[self.row], losses)

    def said(self, log_probs: Tensor, owner: Tensor, facts: int) -> Tensor:
        """Whether every token of each fact's target is the argmax in all its contexts, (facts,)."""
        misses = (log_probs.detach().argmax(-1) != self.token).long()
        return torch.zeros(facts, dtype=torch.int64, device=misses.device).index_add(0, owner[self.row], misses) == 0


@dataclass(frozen=True)
class _Problem:
    """The loss of a set of facts as a function of their δ; `facts` (F,) are their numbers in the pass."""

    model: EditableModel
    z_layer: int
    options: TargetValueOptions
    facts: Tensor
    contexts: _Suffixes
    answers: _Answers
    essence: _Suffixes
    base: Tensor
    h_norm: Tensor

    @classmethod
    def build(cls, model: EditableModel, z_layer: int, facts: Sequence[Fact], options: TargetValueOptions) -> _Problem:
        rows = [row for fact in facts for row in fact.rows]
        owner = [i for i, fact in enumerate(facts) for _ in fact.rows]
        contexts = _Suffixes.build(model, z_layer, rows, owner)
        essence = _Suffixes.build(model, z_layer, [fact.essence for fact in facts], range(len(facts)))
        zero = torch.zeros(len(facts), contexts.hidden.shape[-1], dtype=contexts.hidden.dtype, device=model.device)
        with _forward(model, options):
            base = model.logits(essence.final(model, z_layer, zero)[:, 0]).log_softmax(-1)
        plain = contexts.hidden[:: len(facts[0].rows), 0]
        answers = _Answers.build(rows, len(facts[0].rows), model.device)
        numbers = torch.arange(len(facts), device=model.device)
        return cls(model, z_layer, options, numbers, contexts, answers, essence, base, plain.norm(dim=-1))

    def of(self, places: Tensor) -> _Problem:
        """The same problem for the facts at the given places only."""
        rows = torch.isin(self.contexts.owner, places).nonzero()[:, 0]
        return replace(
            self,
            facts=self.facts[places],
            contexts=self.contexts.of(places),
            answers=self.answers.of(rows),
            essence=self.essence.of(places),
            base=self.base[places],
            h_norm=self.h_norm[places],
        )

    def terms(self, delta: Tensor) -> tuple[Tensor, Tensor]:
        """For each fact's δ (F, d): NLL, weighted KL and weighted decay, (3, F), and whether it is said now, (F,).

        Where nothing stops for being said, nobody looks: a maximum over the vocabulary at every step is not free.
        """
        owner, count = self.contexts.owner, len(self.facts)
        with _forward(self.model, self.options):
            final = self.contexts.final(self.model, self.z_layer, delta)
            log_probs = self.answers.log_probs(self.model, final)
            nll = self.answers.nll(log_probs, owner, count)
            edited = self.model.logits(self.essence.final(self.model, self.z_layer, delta)[:, 0]).log_softmax(-1)
        said = torch.zeros_like(nll, dtype=torch.bool)
        if self.options.after_argmax:
            said = self.answers.said(log_probs, owner, count)
        kl = (edited.exp() * (edited - self.base)).sum(-1)
        decay = delta.norm(dim=-1) / self.h_norm**2
        return torch.stack([nll, self.options.kl * kl, self.options.weight_decay * decay]), said


def _forward(model: EditableModel, options: TargetValueOptions) -> AbstractContextManager[object]:
    """The type that matrices are multiplied in."""
    if options.forward == "model":
        return nullcontext()
    return torch.autocast(model.device.type, dtype=torch.bfloat16)


def optimise(
    model: EditableModel,
    z_layer: int,
    facts: Sequence[Fact],
    options: TargetValueOptions,
    progress: Callable[[int], None] = lambda _done: None,
) -> list[TargetValue]:
    """z* of each fact, in the order given (sort by `facts.cost_order` first: like lengths share a pass).

    Equals the published loop (ROME, arXiv 2202.05262, eq. 4, as in MEMIT's and AlphaEdit's code): it stops before the
    step after the last evaluation, so the losses reported are those of the δ returned.
    `progress` is called with the number of facts finished. Raises NonFinite naming the request.
    """
    values: list[TargetValue] = []
    for start in range(0, len(facts), options.facts_per_pass):
        part = facts[start : start + options.facts_per_pass]
        values += _optimise_pass(model, z_layer, part, options)
        progress(len(part))
    return values


def _optimise_pass(
    model: EditableModel, z_layer: int, facts: Sequence[Fact], options: TargetValueOptions
) -> list[TargetValue]:
    with torch.no_grad():
        problem = _Problem.build(model, z_layer, facts, options)
        h = problem.contexts.hidden[:: len(facts[0].rows), 0]
        limit = options.clamp * problem.h_norm
    delta = torch.zeros_like(h, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=options.learning_rate)
    found: dict[int, TargetValue] = {}
    held = torch.zeros(len(facts), dtype=torch.int64, device=delta.device)  # evaluations for which a fact was said
    for step in range(1, options.steps + 1):
        terms, said = problem.terms(delta[problem.facts])
        losses = terms.sum(0)
        _require_finite(losses, problem.facts, facts)
        held[problem.facts] = torch.where(said, held[problem.facts] + 1, 0)
        done = losses < options.stop_at
        if options.after_argmax:
            done |= held[problem.facts] > options.after_argmax
        if step == options.steps:
            done = torch.ones_like(done)
        for place in done.nonzero()[:, 0].tolist():
            number = int(problem.facts[place])
            under = float(losses[place].detach()) < options.stop_at
            reason = "loss" if under else "steps" if step == options.steps else "argmax"
            found[number] = _value(facts[number], h[number], delta[number], terms[:, place], step, reason)
        if bool(done.all()):
            break
        adam.zero_grad()
        losses[~done].sum().backward()  # type: ignore[no-untyped-call]
        adam.step()
        with torch.no_grad():
            delta *= (limit / delta.norm(dim=-1).clamp_min(torch.finfo(delta.dtype).tiny)).clamp_max(1.0)[:, None]
            if bool(done.any()):
                problem = problem.of((~done).nonzero()[:, 0])
    return [found[i] for i in range(len(facts))]


def _value(fact: Fact, h: Tensor, delta: Tensor, terms: Tensor, steps: int, stopped: str) -> TargetValue:
    delta = delta.detach()
    nll, kl, decay = terms.tolist()
    return TargetValue(
        fact.request.request_id, (h + delta).cpu(), float(h.norm()), float(delta.norm()),
        nll + kl + decay, nll, kl, decay, steps, stopped,
    )  # fmt: skip


def _require_finite(losses: Tensor, numbers: Tensor, facts: Sequence[Fact]) -> None:
    bad = (~torch.isfinite(losses)).nonzero()[:, 0].tolist()
    if bad:
        names = ", ".join(facts[int(numbers[i])].request.request_id for i in bad)
        raise NonFinite(f"the loss of request {names} is not finite: check the model's weights, or lower learning_rate")
