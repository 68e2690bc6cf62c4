"""The digests of a model's tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from editflow.tasks.stages.stage import Stage
from editflow.tasks.models.model_identity import VERSION, _digests


def model_stage(folder: str, dtype: str) -> Stage:
    """The stage that digests the model of a folder, for one whose recipe is known; `identify` finds it out."""
    from editflow.tasks.stages.stage import Stage

    return Stage("model", "model", VERSION, lambda work: _digests(folder, dtype, str(work.how.get("device", "cpu"))))
