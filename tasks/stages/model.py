"""The digests of a model's tensors."""

from __future__ import annotations

from dataclasses import dataclass

from editflow.tasks.models.model_identity import VERSION, digests
from editflow.tasks.stages.stage import Stage


@dataclass(frozen=True)
class ModelSettings:
    """Digests of the loaded tensors, and of the configuration and the tokenizer's files."""

    tensors: str
    files: str


def model_stage(folder: str, dtype: str) -> Stage[ModelSettings]:
    """The stage that digests the model of a folder, for a known recipe; `identify` finds the recipe."""
    return Stage("model", "model", VERSION, ModelSettings, lambda work: digests(folder, dtype, work.device), ())
