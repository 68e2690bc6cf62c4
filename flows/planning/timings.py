"""Recorded times of stages in this lake, beside their estimates from shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from editflow.editing.errors import EditingError
from editflow.flows.planning.cost_table import COSTS
from editflow.flows.planning.dry_run import rows_of
from editflow.flows.planning.machine_speed import Machine
from editflow.flows.planning.workload import Scale, StageInputs
from editflow.storage.artifacts.identity import parents_in
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.errors import StorageError
from editflow.storage.records.runs import Runs
from editflow.tasks.stages.documents import documents_stage
from editflow.tasks.stages.registry import STAGES
from editflow.tasks.stages.settings import NoSettings

Times = Mapping[str, tuple[float, float]]
"""{stage: (recorded seconds of its artifacts, estimated seconds)}"""


def stage_timings(lake: Lake, scale: Scale, machine: Machine) -> Times:
    """The times of all artifacts in this lake from runs with the same model, dtype and device."""
    model = scale.spec.model.model_dump()
    runs = {record.run_id for record in Runs(lake.files).all() if record.spec.get("model") == model}
    found: dict[str, tuple[float, float]] = {}
    for made in _artifacts(lake, runs):
        name = str(made.spec.get("stage"))
        # Skip artifacts of other versions, whose settings cannot be read.
        with suppress(StorageError, LookupError, TypeError, ValueError, EditingError):
            size = COSTS[name](StageInputs(scale, _settings(name, made), _rows(lake, made)))
            estimate = machine.seconds(size)
            if estimate:
                recorded, estimated = found.get(name, (0.0, 0.0))
                found[name] = (recorded + made.seconds, estimated + estimate)
    return found


def _artifacts(lake: Lake, runs: set[str]) -> Iterator[Manifest]:
    for id_ in lake.ids() if runs else ():
        with suppress(StorageError):
            manifest = lake.manifest(id_)
            if manifest.created_by in runs and manifest.seconds > 0:
                yield manifest


def _settings(stage: str, made: Manifest) -> Any:
    if stage == "documents":
        return documents_stage("").read(made.spec)
    return STAGES[stage].read(made.spec) if stage in STAGES else NoSettings()


def _rows(lake: Lake, made: Manifest) -> dict[str, list[float]]:
    """The row counts of the parents, by role."""
    return {role: [rows_of(lake.manifest(id_)) for id_ in parents_in(made.parents, role)] for role in made.parents}
