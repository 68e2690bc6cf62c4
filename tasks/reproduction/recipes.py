"""From the record of an artifact to the stage that makes it, with its settings and parents.

What a stage needs is in its recipe, so most artifacts can be made again from their parents alone. Those that come from
outside need the place they came from: a model and documents, which is recorded beside them; or the facts of a run's
spec, see flows/repair/recipe_collector.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from editflow.storage.artifacts.store import Manifest
from editflow.tasks.comparison.stages import COMPARISON
from editflow.tasks.errors import TaskError
from editflow.tasks.report.sample_answers import ANSWERS
from editflow.tasks.report.stages import REPORT
from editflow.tasks.stages.ability import ABILITY
from editflow.tasks.stages.documents import documents_stage
from editflow.tasks.stages.drift import DRIFT, DRIFT_POINTS, HIDDEN_STATES
from editflow.tasks.stages.edits import CHECKPOINT, CONTEXTS, KEYS, STATE, TARGET_VALUES, WEIGHT_CHANGE
from editflow.tasks.stages.evaluation import EVALUATION, PERPLEXITY
from editflow.tasks.stages.generated_texts import ESSENCE, GENERATIONS, TEXT_SCORES
from editflow.tasks.stages.model import model_stage
from editflow.tasks.stages.moments import MERGE, NULL_SPACE, SECOND_MOMENT, SPECTRUM, TOKENS
from editflow.tasks.stages.stage import Parents, Stage
from editflow.tasks.stages.tuning_trials import TRIALS

STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        *(ABILITY, COMPARISON, DRIFT, DRIFT_POINTS, HIDDEN_STATES, CHECKPOINT, CONTEXTS, KEYS, STATE, TARGET_VALUES),
        *(WEIGHT_CHANGE, EVALUATION, PERPLEXITY, MERGE, NULL_SPACE, SECOND_MOMENT, SPECTRUM, TOKENS, ANSWERS, REPORT),
        *(ESSENCE, GENERATIONS, TEXT_SCORES, TRIALS),
    )
}
"""The stages that make an artifact of its parents and nothing else."""
GIVEN = ("requests", "questions", "ability-cases")
"""The stages whose artifacts hold what a run was given."""


class NotRepeatable(TaskError):
    """An artifact that cannot be made again from what is recorded of it."""


@dataclass(frozen=True)
class Recipe:
    """A stage with the settings and parents of one artifact."""

    stage: Stage
    spec: Mapping[str, Any]
    parents: Parents

    @property
    def id(self) -> str:
        """The id of the artifact."""
        return self.stage.id(self.spec, self.parents)


def recipe_of(made: Manifest) -> Recipe:
    """The recipe of an artifact. Raises NotRepeatable."""
    spec = {key: value for key, value in made.spec.items() if key != "stage"}
    name = str(made.spec.get("stage"))
    stage = _from_outside(name, made.about) or STAGES.get(name)
    if stage is None:
        given = "what it holds was given to a run" if name in GIVEN else "no stage of this version makes it"
        raise NotRepeatable(f"{made.kind} {made.id[:12]}: {given}")
    found = Recipe(stage, spec, made.parents)
    if found.id != made.id:
        versions = f"version {made.version} of its stage made it, and this is {stage.version}"
        raise NotRepeatable(f"{made.kind} {made.id[:12]}: {versions}")
    return found


def source_of(made: Manifest) -> str:
    """Where computing an artifact again reads from outside the lake, by its manifest; empty where it does not."""
    return str(made.about["source"]) if made.spec.get("stage") == "documents" and "source" in made.about else ""


def _from_outside(name: str, about: Mapping[str, Any]) -> Stage | None:
    if name == "model" and {"folder", "dtype"} <= about.keys():
        return model_stage(str(about["folder"]), str(about["dtype"]))
    if name == "documents" and "source" in about:
        return documents_stage(str(about["source"]))
    return None
