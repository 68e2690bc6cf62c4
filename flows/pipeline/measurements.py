"""Measurements of a state, as stages of a run: on all facts, on a batch's own, on texts and on hidden states.

What a data set or a spec does not bring is left out: nothing is reported that was not measured.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from editflow.editing.metrics.ability.declaration import AbilityCase
from editflow.editing.metrics.drift import FEWEST
from editflow.editing.requests.record import EditRequest
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.spec.run_spec import RunSpec
from editflow.tasks.stages.ability import ABILITY, ability_spec, cases_stage, load_cases, summarise_ability
from editflow.tasks.stages.drift import DRIFT, DRIFT_POINTS, HIDDEN_STATES, fixed_prompts
from editflow.tasks.stages.evaluation import EVALUATION, PERPLEXITY, metric_spec, read_perplexity, summarise
from editflow.tasks.stages.generated_texts import ESSENCE, GENERATIONS, TEXT_SCORES, summarise_texts
from editflow.tasks.stages.requests import questions_stage, requests_stage
from editflow.tasks.stages.stage import recipe

Summary = dict[str, Any]


def questions(spec: RunSpec) -> list[AbilityCase]:
    """The questions about general ability that a spec asks for; what is wrong with a source is told before all work."""
    wanted = spec.ability
    return [
        case
        for name, source in wanted.sets.items()
        for case in load_cases(name, source, wanted.count, wanted.shots, wanted.seed)
    ]


@dataclass(frozen=True)
class Measures:
    """The measurements of one run. `model` is the state before all edits, `facts` all that will be edited."""

    spec: RunSpec
    pipe: Pipeline
    model: str
    facts: Sequence[EditRequest]
    documents: str
    held_out: str
    cases: Sequence[AbilityCase] = ()

    def requests(self, facts: Sequence[EditRequest], label: str) -> str:
        """The artifact of these facts."""
        stage, spec = requests_stage(facts, str(self.spec.requests.source))
        return self.pipe.run(stage, spec, {}, label)

    def everywhere(self, state: str, facts: Sequence[EditRequest], when: str, label: str) -> Summary:
        """All that the spec asks for, of a state: on these facts, and on what is no fact."""
        wanted = self.spec.evaluation
        found = self.asked(state, facts, wanted.metrics, f"evaluation {when}", label)
        if wanted.perplexity:
            found["perplexity"] = round(self.perplexity(state, when), 3)
        if wanted.generation_facts:
            found["texts"] = self._texts(state, when)
        if wanted.drift:
            self._drift(state, when)
        if self.cases:
            found["ability"] = self.ability(state, when)
        return found

    def perplexity(self, state: str, when: str) -> float:
        """That of a state on the held-out documents."""
        parents = {"state": state, "documents": self.documents, "tokens": self.held_out}
        return self.pipe.read(read_perplexity, self.pipe.run(PERPLEXITY, {}, parents, f"perplexity {when}"), math.nan)

    def ability(self, state: str, when: str) -> Summary:
        """{set: {way: figures}} of a state, for the questions that the spec asks."""
        ability = self.spec.ability
        parents = {"state": state, "cases": self._questions_asked}
        asked = self.pipe.run(ABILITY, ability_spec(ability.modes, ability.tokens), parents, f"ability {when}")
        return self.pipe.read(summarise_ability, asked, Summary())

    def of_batch(self, state: str, facts: Sequence[EditRequest], number: int) -> Summary:
        """The metrics of the batch's own facts, right after it."""
        metrics = self.spec.evaluation.after_batch
        if not metrics:
            return {}
        label = f"evaluation of batch {number}"
        return {"metrics": self.asked(state, facts, metrics, label, f"requests {number}")}

    def asked(
        self, state: str, facts: Sequence[EditRequest], metrics: Sequence[str], label: str, requests: str
    ) -> Summary:
        """{metric: {figure: percent}} of these facts in a state; `label` and `requests` name its stages."""
        roles = [name for name in ("locality", "portability") if name in metrics]
        parents = {"state": state, "requests": self.requests(facts, requests)}
        parents |= self._questions(facts, roles, f"{requests}: questions")
        how = metric_spec(metrics, published=self.spec.evaluation.published)
        summary: Summary = self.pipe.read(summarise, self.pipe.run(EVALUATION, how, parents, label), Summary())
        return summary

    def _questions(self, facts: Sequence[EditRequest], roles: Sequence[str], label: str) -> dict[str, str]:
        """The parent that holds what the requests have no column for, where there is such a thing."""
        made = questions_stage(facts, roles)
        return {"questions": self.pipe.run(*made, {}, label)} if made else {}

    @cached_property
    def _questions_asked(self) -> str:
        stage, spec = cases_stage(self.cases, self.spec.ability.sets)
        return self.pipe.run(stage, spec, {}, "ability questions")

    @cached_property
    def _sampled(self) -> dict[str, str]:
        """Parents of texts: a fair sample of the facts, and what evaluates all of them, so that scores compare."""
        ranked = sorted(self.facts, key=lambda fact: hashlib.sha256(fact.request_id.encode()).digest())
        chosen = {fact.request_id for fact in ranked[: self.spec.evaluation.generation_facts]}
        facts = [fact for fact in self.facts if fact.request_id in chosen]
        roles = ("portability", "generation", "reference", "alias")
        parents = {"requests": self.requests(facts, "requests for texts")}
        return parents | self._questions(self.facts, roles, "questions for texts")

    def _written(self, state: str, when: str) -> str:
        options = recipe(self.spec.texts)
        return self.pipe.run(GENERATIONS, options, {"state": state, **self._sampled}, f"texts {when}")

    def _texts(self, state: str, when: str) -> Summary:
        written = self._written(state, when)
        scores = self.pipe.run(TEXT_SCORES, {}, {"generations": written, **self._sampled}, f"text scores {when}")
        base = self._written(self.model, "before")
        parents = {"state": state, "base": base, **self._sampled}
        essence = self.pipe.run(ESSENCE, {}, parents, f"essence {when}")
        found = self.pipe.read(summarise_texts, scores, Summary()) | self.pipe.read(summarise_texts, essence, Summary())
        return {name: round(value, 4) for name, value in found.items()}

    def _drift(self, state: str, when: str) -> None:
        """Nothing for requests without neighbours: then there are no prompts that should not move."""
        count, seed = self.spec.evaluation.drift, self.spec.requests.seed
        spec = {"layers": self.spec.edit.layers, "count": count, "seed": seed}
        if len(fixed_prompts(self.facts, count, seed)) < FEWEST:
            return
        requests = self.requests(self.facts, "requests")
        states = [
            self.pipe.run(HIDDEN_STATES, spec, {"state": one, "requests": requests}, f"hidden states {name}")
            for one, name in ((self.model, "before"), (state, when))
        ]
        if state != self.model:
            parents = dict(zip(("base", "edited"), states, strict=True))
            self.pipe.run(DRIFT, {}, parents, f"drift {when}")
            self.pipe.run(DRIFT_POINTS, {}, parents, f"drift points {when}")
