"""The registry of stages that compute an artifact from its parents alone.

A new stage is one file with its settings, its function and a `Stage`, and one entry here.
"""

from __future__ import annotations

from typing import Any

from editflow.tasks.stages.ability import ABILITY
from editflow.tasks.stages.drift import DRIFT, DRIFT_POINTS, HIDDEN_STATES
from editflow.tasks.stages.edits import CHECKPOINT, CONTEXTS, KEYS, STATE, TARGET_VALUES, WEIGHT_CHANGE
from editflow.tasks.stages.evaluation import EVALUATION, PERPLEXITY
from editflow.tasks.stages.generated_texts import ESSENCE, GENERATIONS, TEXT_SCORES
from editflow.tasks.stages.moments import MERGE, NULL_SPACE, SECOND_MOMENT, SPECTRUM, TOKENS
from editflow.tasks.stages.stage import Stage
from editflow.tasks.stages.tuning_trials import TRIALS

_STAGES: tuple[Stage[Any], ...] = (
    *(TOKENS, SECOND_MOMENT, MERGE, SPECTRUM, NULL_SPACE, CONTEXTS, TARGET_VALUES, WEIGHT_CHANGE, KEYS, CHECKPOINT),
    *(STATE, EVALUATION, PERPLEXITY, GENERATIONS, TEXT_SCORES, ESSENCE, HIDDEN_STATES, DRIFT, DRIFT_POINTS, ABILITY),
    TRIALS,
)
STAGES: dict[str, Stage[Any]] = {stage.name: stage for stage in _STAGES}
IMPORTED = ("requests", "questions", "ability_cases")
"""The kinds of imported artifacts (storage/artifacts/imported.py)."""
