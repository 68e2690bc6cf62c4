"""The rows of a plan, as `editflow plan --json` prints them."""

from __future__ import annotations

from typing import TypedDict


class ModelRow(TypedDict):
    """The model of a plan; `id` is None if this lake has never read it."""

    source: str
    family: str
    model_type: str
    parameters: int
    layers: int
    dtype: str
    device: str
    id: str | None


class LayerRow(TypedDict):
    """An edited weight; `bytes` in the model's dtype."""

    layer: int
    tensor: str
    d_out: int
    d_in: int
    dtype: str
    bytes: int


class ArtifactRow(TypedDict):
    """An artifact of a run; `seconds` is None where the device is not available."""

    stage: str
    label: str
    id: str | None
    reused: bool
    seconds: float | None
    bytes: int


# The keys are column headings too, hence the space in one.
StageRow = TypedDict(
    "StageRow",
    {"stage": str, "artifacts": int, "reused": int, "to compute": int, "seconds": float | None, "bytes": int},
)
"""The artifacts of one stage; `seconds` and `bytes` count those to compute."""
