"""The stage that digests a model's tensors."""

from __future__ import annotations

from dataclasses import dataclass

from editflow.tasks.models.model_identity import VERSION, tensor_table
from editflow.tasks.stages.stage import Stage


@dataclass(frozen=True)
class ModelSettings:
    """Digests of the loaded tensors, and of the configuration and the tokenizer's files."""

    tensors: str
    files: str


def model_stage(folder: str, dtype: str) -> Stage[ModelSettings]:
    """The stage that digests the model of a folder. Only recomputation uses it; `identify` determines the recipe."""
    return Stage("model", "model", VERSION, ModelSettings, lambda work: tensor_table(folder, dtype, work.device), ())
