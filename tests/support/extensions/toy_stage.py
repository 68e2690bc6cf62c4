"""A stage with its own artifact kind that measures every state: norms of the edited weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from editflow.flows.pipeline.measurements import Measures
from editflow.storage.artifacts.kinds import Kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.stages.stage import Stage, Work

TOY_KIND = Kind("toy_norms", pa.schema([("layer", pa.int32()), ("norm", pa.float64())]), "norms of edited weights")


@dataclass(frozen=True)
class ToySettings:
    """The layers, and the order of the norm."""

    layers: tuple[int, ...]
    order: float = 2.0


def _norms(work: Work[ToySettings]) -> pa.Table:
    model = work.model("state")
    rows = [
        {"layer": layer, "norm": float(model.weight(layer).double().norm(work.settings.order))}
        for layer in work.settings.layers
    ]
    return pa.Table.from_pylist(rows, schema=TOY_KIND.schema)


TOY_STAGE = Stage("toy-norms", TOY_KIND.name, 1, ToySettings, _norms, ("state",))


def measure(measures: Measures, state: str, when: str) -> dict[str, Any]:
    """The largest norm of a state's weights for the run's summary: {name: {score: number}}."""
    settings = ToySettings(tuple(measures.spec.edit.layers))
    artifact = measures.pipe.run(TOY_STAGE, settings, {"state": state}, f"toy norms {when}")
    return {"toy norms": {"largest": measures.pipe.read(_largest, artifact, 0.0)}}


def _largest(lake: Lake, artifact: str) -> float:
    return max(lake.read(artifact)["norm"].to_pylist())
