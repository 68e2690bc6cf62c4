"""Drift: hidden states of a model on fixed prompts, and how far an edit moves them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from editflow.editing.errors import InvalidOption
from editflow.editing.metrics.drift import MIN_PROMPTS, drift
from editflow.editing.metrics.principal_plane import Floats, Plane
from editflow.editing.models.hidden_states import hidden_states
from editflow.editing.requests.record import EditRequest
from editflow.storage.artifacts.codec import vectors, vectors_column
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.console.progress import bar
from editflow.tasks.stages.requests import read_requests
from editflow.tasks.stages.settings import NoSettings
from editflow.tasks.stages.stage import Stage, Work

CLOUDS = ("base", "edited")


def fixed_prompts(requests: Sequence[EditRequest], count: int, seed: int) -> list[str]:
    """At most `count` neighbourhood prompts of the requests: true facts of other subjects, which no edit should change.

    Selected by a hash of seed and prompt, so the order of the requests does not matter and a larger count only adds
    prompts. Omits prompts that are edited themselves or paraphrase an edited fact.
    """
    edited = {prompt for request in requests for prompt in (request.filled, *request.paraphrase_prompts)}
    others = {prompt for request in requests for prompt in request.neighborhood_prompts} - edited
    return sorted(others, key=lambda prompt: hashlib.sha256(f"{seed}\0{prompt}".encode()).digest())[:count]


@dataclass(frozen=True)
class HiddenStatesSettings:
    """The layers whose output is read, and the selection of prompts."""

    layers: tuple[int, ...]
    count: int
    seed: int


def _hidden_states(work: Work[HiddenStatesSettings]) -> pa.Table:
    """One row per layer and prompt."""
    layers = list(work.settings.layers)
    prompts = fixed_prompts(read_requests(work.lake, work.one("requests")), work.settings.count, work.settings.seed)
    if len(prompts) < MIN_PROMPTS:
        raise InvalidOption(
            f"the requests have {len(prompts)} neighbourhood prompts that are not edited, drift needs {MIN_PROMPTS}: "
            "add neighborhood_prompts to the facts, or switch drift off"
        )
    model = work.model("state")
    with bar(work.label("hidden states"), len(prompts), "prompts") as advance:
        found = hidden_states(model, prompts, layers, progress=advance)
    return pa.concat_tables(
        pa.table(
            {
                "layer": pa.array(np.full(len(prompts), layer, np.int32)),
                "i": pa.array(np.arange(len(prompts), dtype=np.int32)),
                "prompt": pa.array(prompts, pa.string()),
                "vector": vectors_column(found[layer].float().numpy()),
            },
            schema=kind("hidden_states").schema,
        )
        for layer in layers
    )


def _drift(work: Work[NoSettings]) -> pa.Table:
    """One row per layer and metric."""
    rows = [
        {"layer": layer, "metric": metric, "value": value}
        for layer, base, edited in _pairs(work)
        for metric, value in drift(base, edited).items()
    ]
    return pa.Table.from_pylist(rows, schema=kind("drift").schema)


def _points(work: Work[NoSettings]) -> pa.Table:
    """One row per layer, cloud and prompt: its coordinates in the plane of the base model's principal axes."""
    parts = []
    for layer, base, edited in _pairs(work):
        plane = Plane.fit(base)
        for cloud, states in zip(CLOUDS, (base, edited), strict=True):
            points = plane.project(states)
            columns = {
                "layer": np.full(len(points), layer, np.int32),
                "cloud": [cloud] * len(points),
                "i": np.arange(len(points), dtype=np.int32),
                "x": points[:, 0],
                "y": points[:, 1],
            }
            parts.append(pa.table(columns, schema=kind("drift_points").schema))
    return pa.concat_tables(parts)


def _pairs(work: Work[NoSettings]) -> Iterator[tuple[int, Floats, Floats]]:
    """(layer, states of the base model, states of the edited model), each (n, d) in float64, on the same prompts."""
    base, edited = work.table("base"), work.table("edited")
    keys = ["layer", "i", "prompt"]
    if not base.select(keys).equals(edited.select(keys)):
        raise InvalidOption(
            "hidden states of base and edited model have different prompts or layers: "
            "compute both with the same requests, layers, count and seed"
        )
    layers = pc.unique(base["layer"]).to_pylist()
    with bar(work.label("drift"), len(layers), "layers") as advance:
        for layer in layers:
            states = (table.filter(pc.equal(table["layer"], layer))["vector"] for table in (base, edited))
            first, second = (vectors(column).astype(np.float64) for column in states)
            yield layer, first, second
            advance(1)


def read_drift(lake: Lake, artifact: str) -> dict[int, dict[str, float]]:
    """{layer: {metric: value}} of an artifact, in the order of its rows."""
    found: dict[int, dict[str, float]] = {}
    for row in lake.read(artifact).to_pylist():
        found.setdefault(row["layer"], {})[row["metric"]] = row["value"]
    return found


HIDDEN_STATES = Stage("hidden-states", "hidden_states", 1, HiddenStatesSettings, _hidden_states, ("state", "requests"))
DRIFT = Stage("drift", "drift", 1, NoSettings, _drift, ("base", "edited"))
DRIFT_POINTS = Stage("drift-points", "drift_points", 1, NoSettings, _points, ("base", "edited"))
