"""Trials: each edits the probe facts under one setting, through the stages of a run, and scores the result."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from editflow.editing.errors import EditingError, first_line
from editflow.editing.requests.record import EditRequest
from editflow.flows.edit_model import edit_with_retry
from editflow.flows.pipeline import stage_settings
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.tuning.budget import Budget
from editflow.flows.tuning.search_space import Setting, Sweep, proposals
from editflow.storage.artifacts.store import ArtifactRef, Manifest
from editflow.storage.records.runs import Use
from editflow.tasks.stages.evaluation import EVALUATION, PERPLEXITY
from editflow.tasks.stages.settings import NoSettings
from editflow.tasks.stages.tuning_trials import TRIALS, TrialsSettings, trial_result

OWN = frozenset({"target_values", "weight_change", "keys", "state", "evaluation", "perplexity"})
"""Artifact kinds that belong to one trial; measurements of the unedited model are shared."""
FAILED = float("-inf")


@dataclass(frozen=True)
class Trial:
    """A setting and its scores. `own` is its own cost in seconds, without the work that trials share."""

    number: int
    varied: str
    setting: Setting
    own: float
    scores: Mapping[str, float]
    evaluation: str = ""
    perplexity: str = ""
    state: str = ""
    error: str = ""

    @property
    def objective(self) -> float:
        """The score that ranks trials; a failed trial ranks last."""
        return self.scores.get("objective", FAILED)

    def recipe(self) -> dict[str, Any]:
        """The row in the lake's table of trials."""
        return {"varied": self.varied, "error": self.error, **asdict(self.setting), "layers": list(self.setting.layers)}


@dataclass(frozen=True)
class TrialRunner:
    """Runs trials. Holds what they share: the spec to vary, the probes, and the artifacts of the base model."""

    spec: RunSpec
    pipe: Pipeline
    probes: Sequence[EditRequest]
    model: str
    documents: str
    held_out: str
    requests: str

    def evaluation_of(self, state: str) -> str:
        """The id of a state's evaluation on the probes."""
        settings = stage_settings.evaluation(self.spec, self.spec.evaluation.metrics)
        return EVALUATION.id(settings, {"state": state, "requests": self.requests})

    def perplexity_of(self, state: str) -> str:
        """The id of a state's perplexity on the held-out documents."""
        return PERPLEXITY.id(NoSettings(), {"state": state, "documents": self.documents, "tokens": self.held_out})

    def judge(self, number: int, varied: str, setting: Setting) -> Trial:
        """Edit the probes under a setting and score the result; a failed trial has the reason."""
        seen, started = set(self.pipe.uses), time.monotonic()
        self.pipe.prefix = f"trial {number}: "
        try:
            state = str(edit_with_retry(setting.apply_to(self.spec), self.pipe, self.probes)["state"])
        except (EditingError, ValidationError) as error:
            return Trial(number, varied, setting, time.monotonic() - started, {}, error=first_line(error))
        finally:
            self.pipe.prefix = ""
        new = [use for id_, use in self.pipe.uses.items() if id_ not in seen]
        own = own_seconds(
            time.monotonic() - started, [(use, self.pipe.lake.manifest(use.artifact)) for use in new], self.model
        )
        evaluation, perplexity = self.evaluation_of(state), self.perplexity_of(state)
        found = trial_result(self.pipe.lake, evaluation, perplexity, self.perplexity_of(self.model))
        return Trial(number, varied, setting, own, found, evaluation, perplexity, state)

    def archive(self, trials: Sequence[Trial]) -> ArtifactRef:
        """Store the table of trials, with the artifacts that it was read from as parents."""
        done = [trial for trial in trials if not trial.error]
        parents: dict[str, str | list[str]] = {
            "requests": self.requests, "base_perplexity": self.perplexity_of(self.model),
            "evaluation": [t.evaluation for t in done], "perplexity": [t.perplexity for t in done],
            "state": [t.state for t in done],
        }  # fmt: skip
        id_ = self.pipe.run(TRIALS, TrialsSettings(tuple(trial.recipe() for trial in trials)), parents, "trials")
        return self.pipe.lake.manifest(id_).ref


def own_seconds(wall: float, new: Iterable[tuple[Use, Manifest]], model: str) -> float:
    """The own cost of a trial: its wall-clock time without shared work.

    Reused artifacts count with the time that they once took, so that a continued search estimates like a new one.
    """
    own = [(use, made) for use, made in new if _is_own(made, model)]
    shared = [(use, made) for use, made in new if not _is_own(made, model)]
    return max(wall - sum(use.seconds for use, _ in shared), sum(made.seconds for _, made in own))


def _is_own(made: Manifest, model: str) -> bool:
    measures_base = made.kind in {"evaluation", "perplexity"} and made.parents.get("state") == model
    return made.kind in OWN and not measures_base


def search(runner: TrialRunner, start: Setting, sweeps: Sequence[Sweep], budget: Budget) -> Iterator[Trial]:
    """Yield trials as long as the next one fits into the budget; the first always runs."""
    search_steps = proposals(start, sweeps)
    proposal = next(search_steps)
    number = 1
    while True:
        trial = runner.judge(number, *proposal)
        budget.own.append(trial.own)
        yield trial
        number += 1
        try:
            proposal = search_steps.send(trial.objective)
        except StopIteration:
            return
        if not budget.allows_another():
            return


def best_trial(trials: Iterable[Trial]) -> Trial | None:
    """The trial with the highest objective, the earliest on a tie; None if none succeeded."""
    done = [trial for trial in trials if not trial.error]
    return max(done, key=lambda trial: trial.objective) if done else None
