"""Measurements of a state as stages of a run: on all facts, on one batch, on texts and on hidden states.

Metrics that the data or the spec does not provide for are left out: only measured values are reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from editflow.editing.metrics.ability.declaration import AbilityCase
from editflow.editing.metrics.drift import MIN_PROMPTS
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
    """The questions about general ability that a spec names. Raises errors of a source before any work."""
    wanted = spec.ability
    return [
        case
        for name, source in wanted.sets.items()
        for case in load_cases(name, source, wanted.count, wanted.shots, wanted.seed)
    ]


@dataclass(frozen=True)
class Measures:
    """The measurements of one run. `model` is the unedited state, `facts` are all facts of the run."""

    spec: RunSpec
    pipe: Pipeline
    model: str
    facts: Sequence[EditRequest]
    documents: str
    held_out: str
    cases: Sequence[AbilityCase] = ()

    def requests(self, facts: Sequence[EditRequest], label: str) -> str:
        """The id of the artifact of these facts."""
        return self.pipe.import_table(requests_table(facts, str(self.spec.requests.source)), label)

    def measure_all(self, state: str, facts: Sequence[EditRequest], when: str, label: str) -> Measured:
        """All measurements of the spec on a state: on these facts, and on texts, drift and ability."""
        found = self.evaluate(state, facts, self.spec.evaluation.metrics, f"evaluation {when}", label)
        for measure in MEASUREMENTS.values():
            found |= measure(self, state, when)
        return found

    def perplexity(self, state: str, when: str) -> float:
        """The perplexity of a state on the held-out documents."""
        parents = {"state": state, "documents": self.documents, "tokens": self.held_out}
        return self.pipe.read(
            read_perplexity, self.pipe.run(PERPLEXITY, NoSettings(), parents, f"perplexity {when}"), math.nan
        )

    def ability(self, state: str, when: str) -> Measured:
        """{set: {mode: scores}} of a state on the questions of the spec."""
        parents = {"state": state, "cases": self._cases}
        asked = self.pipe.run(ABILITY, stage_settings.ability(self.spec), parents, f"ability {when}")
        return self.pipe.read(summarise_ability, asked, Measured())

    def of_batch(self, state: str, facts: Sequence[EditRequest], number: int) -> Measured:
        """The metrics on a batch's own facts, right after it."""
        metrics, label = self.spec.evaluation.after_batch, f"evaluation of batch {number}"
        return self.evaluate(state, facts, metrics, label, f"requests {number}")

    def evaluate(
        self, state: str, facts: Sequence[EditRequest], metrics: Sequence[str], label: str, requests: str
    ) -> Measured:
        """{metric: {score: percent}} of a state on these facts; `label` and `requests` label the stages."""
        roles = [name for name in ("locality", "portability") if name in metrics]
        parents = {"state": state, "requests": self.requests(facts, requests)}
        parents |= self._question_parents(facts, roles, f"{requests}: questions")
        settings = stage_settings.evaluation(self.spec, metrics)
        summary: Measured = self.pipe.read(summarise, self.pipe.run(EVALUATION, settings, parents, label), Measured())
        return summary

    def _question_parents(self, facts: Sequence[EditRequest], roles: Sequence[str], label: str) -> dict[str, str]:
        """The parent with the questions that the requests artifact has no column for, if there are any."""
        found = questions_table(facts, roles)
        return {"questions": self.pipe.import_table(found, label)} if found else {}

    @cached_property
    def _cases(self) -> str:
        return self.pipe.import_table(cases_table(self.cases, self.spec.ability.sets), "ability questions")

    @cached_property
    def _sample_parents(self) -> dict[str, str]:
        """The parents of generated texts: a sample of the facts, and the questions of all facts."""
        facts = sample(self.facts, self.spec.evaluation.generation_facts)
        roles = ("portability", "generation", "reference", "alias")
        parents = {"requests": self.requests(facts, "requests for texts")}
        return parents | self._question_parents(self.facts, roles, "questions for texts")

    def _generate(self, state: str, when: str) -> str:
        return self.pipe.run(GENERATIONS, self.spec.texts, {"state": state, **self._sample_parents}, f"texts {when}")

    def texts(self, state: str, when: str) -> Measured:
        """{metric: value} of the texts that a state generates about a sample of the facts."""
        generations = self._generate(state, when)
        scores = self.pipe.run(
            TEXT_SCORES, NoSettings(), {"generations": generations, **self._sample_parents}, f"text scores {when}"
        )
        base = self._generate(self.model, "before")
        parents = {"state": state, "base": base, **self._sample_parents}
        essence = self.pipe.run(ESSENCE, NoSettings(), parents, f"essence {when}")
        found = self.pipe.read(summarise_texts, scores, Measured()) | self.pipe.read(
            summarise_texts, essence, Measured()
        )
        return {name: round(value, 4) for name, value in found.items()}

    def drift(self, state: str, when: str) -> None:
        """Measure hidden states and their drift; skipped without enough neighbourhood prompts."""
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

The part is {name: {score: number}}, or {} if the spec does not ask for it; storage/run_values.py checks the shape."""

MEASUREMENTS: dict[str, Measurement] = {
    "perplexity": _perplexity,
    "texts": _texts,
    "drift": _drift,
    "ability": _ability,
}
"""The measurements of a state besides the metrics over requests, in order."""
