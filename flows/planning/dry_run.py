"""A pipeline that computes nothing: it follows the flow and records what a run would create or reuse."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from editflow.flows.pipeline.pipeline import Pipeline, Read
from editflow.flows.planning.cost_table import COSTS, cost_of
from editflow.flows.planning.workload import WIDE, Scale, StageCost, StageInputs
from editflow.flows.spec.sections import ModelSection
from editflow.storage.artifacts.identity import parent_pairs, parents_in
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.store import ArtifactRef, Lake, Manifest
from editflow.storage.errors import StorageError
from editflow.storage.records.runs import RunRecord
from editflow.tasks.models.meta_model import MetaModel
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.stages.settings import NoSettings, Settings
from editflow.tasks.stages.stage import Parents, Stage

UNKNOWN = "0" * 64
"""The placeholder id of a model that was never read; ids that depend on it are unknown too."""


@dataclass(frozen=True)
class PlannedArtifact:
    """An artifact of the run.

    `id` is None if it depends on a model that was never read. `size` is the estimated cost; `bytes` is the actual size
    of a reused artifact, and the estimate otherwise.
    """

    stage: str
    label: str
    id: str | None
    reused: bool
    size: StageCost
    bytes: float


@dataclass(kw_only=True)
class DryRun(Pipeline):
    """`planned` has every artifact of the run by id, in the order of the run.

    `rows` are the row counts for the table of costs. Artifacts in `made_earlier` are made by another run before this
    one.
    """

    meta_model: MetaModel
    scale: Scale
    made_earlier: Collection[str] = ()
    planned: dict[str, PlannedArtifact] = field(default_factory=dict)
    _unknown: set[str] = field(default_factory=lambda: {UNKNOWN})
    _side_outputs: set[str] = field(default_factory=set)
    """Second outputs of stages that will be computed; they have no cost of their own."""
    rows: dict[str, float] = field(default_factory=dict)

    def run(self, stage: Stage[Settings], settings: Settings, parents: Parents, label: str = "") -> str:
        """The id of the stage's artifact; nothing is computed or written."""
        id_ = stage.id(settings, parents)
        if id_ in self.planned:
            return id_
        if not self._unknown.isdisjoint(parent for _, parent in parent_pairs(parents)):
            self._unknown.add(id_)
        rows = {role: [self.rows[parent] for parent in parents_in(parents, role)] for role in parents}
        size = cost_of(stage, StageInputs(self.scale, settings, rows))
        if id_ in self._side_outputs:
            size = StageCost(size.rows, size.bytes)
        self._note(stage.name, id_, label or stage.name, size)
        if stage.also is not None and not self.planned[id_].reused:
            self._side_outputs.add(stage.also.id(settings, parents))
        return id_

    def import_table(self, imported: ImportedTable, label: str = "") -> str:
        """The id of an imported table, which needs no computation."""
        if imported.id not in self.planned:
            size = StageCost(imported.table.num_rows, WIDE + imported.table.nbytes / 2)
            self._note(imported.name, imported.id, label or imported.name, size)
        return imported.id

    def pin(self, model: ModelSection) -> str:
        """The model's id, if the lake knows its files."""
        del model
        id_ = self.meta_model.id or UNKNOWN
        if id_ not in self.planned:
            self._note("model", id_, "model", COSTS["model"](StageInputs(self.scale, NoSettings(), {})))
        return id_

    def about(self, model: str) -> ModelDescription:
        """The description of the model, from its configuration."""
        del model
        return self.meta_model.about

    def read(self, reader: Callable[[Lake, str], Read], artifact: str, nothing: Read) -> Read:
        """Return `nothing`: most artifacts do not exist yet."""
        del reader, artifact
        return nothing

    def find_valid(self, id_: str) -> Manifest | None:
        """The manifest of an artifact, or None. Its payload is not checked; a run does that."""
        try:
            return None if id_ in self._unknown else self.lake.find(id_)
        except StorageError:
            return None

    def note(self, stage: str, ref: ArtifactRef, *, reused: bool, seconds: float, label: str = "") -> None:
        """Never called: a dry run records artifacts in `run`, `import_table` and `pin`."""
        raise NotImplementedError

    def flush(self) -> None:
        """Do nothing: there is no run to record."""

    def _note(self, stage: str, id_: str, label: str, size: StageCost) -> None:
        found = self.find_valid(id_)
        self.rows[id_] = size.rows if found is None else rows_of(found)
        known = None if id_ in self._unknown else id_
        stored = size.bytes if found is None else found.bytes
        reused = found is not None or id_ in self.made_earlier
        self.planned[id_] = PlannedArtifact(stage, self.prefix + label, known, reused, size, stored)


def rows_of(manifest: Manifest) -> float:
    """The row count of an artifact for the table of costs; for tokens and moments, the number of tokens."""
    counted = {"tokens": "found", "second_moment": "tokens"}.get(manifest.kind)
    return float(manifest.about.get(counted, manifest.rows)) if counted else float(manifest.rows)


def no_record(name: str) -> RunRecord:
    """A record for a pipeline that records nothing."""
    return RunRecord("plan", name, {}, None, "", {}, "", 0, 0.0)
