"""Measurements of a state, as stages of a run: on all facts, on a batch's own, on texts and on hidden states.

What a data set or a spec does not bring is left out: nothing is reported that was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from editflow.editing.metrics.ability.declaration import AbilityCase
from editflow.editing.metrics.drift import MIN_PROMPTS
from editflow.editing.metrics.registry import METRICS
from editflow.editing.requests.record import EditRequest
from editflow.editing.requests.sample import sample
from editflow.flows.pipeline import stage_settings
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.pipeline.run_summary import Measured
from editflow.flows.spec.run_spec import RunSpec
from editflow.tasks.stages.ability import ABILITY, cases_table, load_cases, summarise_ability
from editflow.tasks.stages.drift import DRIFT, DRIFT_POINTS, HIDDEN_STATES, fixed_prompts
from editflow.tasks.stages.evaluation import EVALUATION, PERPLEXITY, read_perplexity, summarise
from editflow.tasks.stages.generated_texts import ESSENCE, GENERATIONS, TEXT_SCORES, summarise_texts
from editflow.tasks.stages.requests import questions_table, requests_table
from editflow.tasks.stages.settings import NoSettings


def questions(spec: RunSpec) -> list[AbilityCase]:
    """The questions about general ability that a spec asks for; faults of a source are reported before all work."""
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
        return self.pipe.import_table(requests_table(facts, str(self.spec.requests.source)), label)

    def everywhere(self, state: str, facts: Sequence[EditRequest], when: str, label: str) -> Measured:
        """All that the spec asks for, of a state: on these facts, and beyond facts."""
        found = self.asked(state, facts, self.spec.evaluation.metrics, f"evaluation {when}", label)
        for measure in MEASUREMENTS.values():
            found |= measure(self, state, when)
        return found

    def perplexity(self, state: str, when: str) -> float:
        """That of a state on the held-out documents."""
        parents = {"state": state, "documents": self.documents, "tokens": self.held_out}
        return self.pipe.read(
            read_perplexity, self.pipe.run(PERPLEXITY, NoSettings(), parents, f"perplexity {when}"), math.nan
        )

    def ability(self, state: str, when: str) -> Measured:
        """{set: {mode: scores}} of a state, for the questions that the spec asks."""
        parents = {"state": state, "cases": self._questions_asked}
        asked = self.pipe.run(ABILITY, stage_settings.ability(self.spec), parents, f"ability {when}")
        return self.pipe.read(summarise_ability, asked, Measured())

    def of_batch(self, state: str, facts: Sequence[EditRequest], number: int) -> Measured:
        """The metrics of the batch's own facts, right after it."""
        metrics, label = self.spec.evaluation.after_batch, f"evaluation of batch {number}"
        return self.asked(state, facts, metrics, label, f"requests {number}")

    def asked(
        self, state: str, facts: Sequence[EditRequest], metrics: Sequence[str], label: str, requests: str
    ) -> Measured:
        """{metric: {score: percent}} of these facts in a state; `label` and `requests` name its stages."""
        roles = [role for name, metric in METRICS.items() if name in metrics for role in metric.roles]
        parents = {"state": state, "requests": self.requests(facts, requests)}
        parents |= self._questions(facts, roles, f"{requests}: questions")
        settings = stage_settings.evaluation(self.spec, metrics)
        summary: Measured = self.pipe.read(summarise, self.pipe.run(EVALUATION, settings, parents, label), Measured())
        return summary

    def _questions(self, facts: Sequence[EditRequest], roles: Sequence[str], label: str) -> dict[str, str]:
        """The parent that holds what the requests have no column for, where there is such a thing."""
        found = questions_table(facts, roles)
        return {"questions": self.pipe.import_table(found, label)} if found else {}

    @cached_property
    def _questions_asked(self) -> str:
        return self.pipe.import_table(cases_table(self.cases, self.spec.ability.sets), "ability questions")

    @cached_property
    def _sampled(self) -> dict[str, str]:
        """Parents of texts: a fair sample of the facts, and what evaluates all of them, so that scores compare."""
        facts = sample(self.facts, self.spec.evaluation.generation_facts)
        roles = ("portability", "generation", "reference", "alias")
        parents = {"requests": self.requests(facts, "requests for texts")}
        return parents | self._questions(self.facts, roles, "questions for texts")

    def _written(self, state: str, when: str) -> str:
        return self.pipe.run(GENERATIONS, self.spec.texts, {"state": state, **self._sampled}, f"texts {when}")

    def texts(self, state: str, when: str) -> Measured:
        """{metric: value} of the texts that a state generates about a sample of the facts."""
        written = self._written(state, when)
        scores = self.pipe.run(
            TEXT_SCORES, NoSettings(), {"generations": written, **self._sampled}, f"text scores {when}"
        )
        base = self._written(self.model, "before")
        parents = {"state": state, "base": base, **self._sampled}
        essence = self.pipe.run(ESSENCE, NoSettings(), parents, f"essence {when}")
        found = self.pipe.read(summarise_texts, scores, Measured()) | self.pipe.read(
            summarise_texts, essence, Measured()
        )
        return {name: round(value, 4) for name, value in found.items()}

    def drift(self, state: str, when: str) -> None:
        """Hidden states and their drift; nothing for requests without neighbours: no prompt is known to stay."""
        settings = stage_settings.hidden_states(self.spec)
        if len(fixed_prompts(self.facts, settings.count, settings.seed)) < MIN_PROMPTS:
            return
        requests = self.requests(self.facts, "requests")
        states = [
            self.pipe.run(HIDDEN_STATES, settings, {"state": one, "requests": requests}, f"hidden states {name}")
            for one, name in ((self.model, "before"), (state, when))
        ]
        if state != self.model:
            parents = dict(zip(("base", "edited"), states, strict=True))
            self.pipe.run(DRIFT, NoSettings(), parents, f"drift {when}")
            self.pipe.run(DRIFT_POINTS, NoSettings(), parents, f"drift points {when}")


def _perplexity(measures: Measures, state: str, when: str) -> Measured:
    return {"perplexity": round(measures.perplexity(state, when), 3)} if measures.spec.evaluation.perplexity else {}


def _texts(measures: Measures, state: str, when: str) -> Measured:
    return {"texts": measures.texts(state, when)} if measures.spec.evaluation.generation_facts else {}


def _drift(measures: Measures, state: str, when: str) -> Measured:
    if measures.spec.evaluation.drift:
        measures.drift(state, when)
    return {}


def _ability(measures: Measures, state: str, when: str) -> Measured:
    return {"ability": measures.ability(state, when)} if measures.cases else {}


Measurement = Callable[[Measures, str, str], Measured]
"""(measures, state, when): runs its stages on a state and returns its part of the summary.

That is {name: {score: number}}, and {} where the spec does not ask for it; storage/run_values.py checks the shape."""

MEASUREMENTS: dict[str, Measurement] = {
    "perplexity": _perplexity,
    "texts": _texts,
    "drift": _drift,
    "ability": _ability,
}
"""What is measured of a state besides the metrics over requests, in order."""
