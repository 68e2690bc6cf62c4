"""A pipeline that computes nothing: it walks the flow and notes what a run would create or reuse."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from editflow.flows.pipeline.pipeline import Pipeline, Read
from editflow.flows.planning.cost_table import SIZES, cost_of
from editflow.flows.planning.workload import WIDE, Scale, StageCost, StageInputs
from editflow.flows.spec.sections import ModelSection
from editflow.storage.artifacts.identity import parent_pairs, parents_in
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.store import ArtifactRef, Lake, Manifest
from editflow.storage.errors import StorageError
from editflow.storage.records.runs import RunRecord
from editflow.tasks.models.meta_model import Outline
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.stages.settings import NoSettings, Settings
from editflow.tasks.stages.stage import Parents, Stage

UNKNOWN = "0" * 64
"""The placeholder id of a model that was never read; ids of recipes with it are unknown too."""


@dataclass(frozen=True)
class PlannedArtifact:
    """An artifact of the run.

    `id` is None where it depends on a model that was never read; `size` is its estimate, `bytes` what the lake
    holds where it is reused.
    """

    stage: str
    label: str
    id: str | None
    reused: bool
    size: StageCost
    bytes: float


@dataclass(kw_only=True)
class DryRun(Pipeline):
    """`pieces` holds every artifact of the run by its id, in the order in which the run would come to it.

    `rows` is what the table of costs counts of each; what is in `elsewhere` another run makes before this one.
    """

    outline: Outline
    scale: Scale
    elsewhere: Collection[str] = ()
    pieces: dict[str, PlannedArtifact] = field(default_factory=dict)
    _unknown: set[str] = field(default_factory=lambda: {UNKNOWN})
    _also: set[str] = field(default_factory=set)
    """Second artifacts of stages that will be computed: they cost nothing more."""
    rows: dict[str, float] = field(default_factory=dict)

    def run(self, stage: Stage[Settings], settings: Settings, parents: Parents, label: str = "") -> str:
        """The id that the stage's artifact has, or would have; nothing is computed and nothing written."""
        id_ = stage.id(settings, parents)
        if id_ in self.pieces:
            return id_
        if not self._unknown.isdisjoint(parent for _, parent in parent_pairs(parents)):
            self._unknown.add(id_)
        rows = {role: [self.rows[parent] for parent in parents_in(parents, role)] for role in parents}
        size = cost_of(stage, StageInputs(self.scale, settings, rows))
        self._note(
            stage.name, id_, label or stage.name, StageCost(size.rows, size.bytes) if id_ in self._also else size
        )
        if stage.also is not None and not self.pieces[id_].reused:
            self._also.add(stage.also.id(settings, parents))
        return id_

    def import_table(self, imported: ImportedTable, label: str = "") -> str:
        """The id of a table from outside, which is at hand without any computing."""
        if imported.id not in self.pieces:
            size = StageCost(imported.table.num_rows, WIDE + imported.table.nbytes / 2)
            self._note(imported.name, imported.id, label or imported.name, size)
        return imported.id

    def pin(self, model: ModelSection) -> str:
        """The model's id from the lake's memory of its files."""
        del model
        id_ = self.outline.id or UNKNOWN
        if id_ not in self.pieces:
            self._note("model", id_, "model", SIZES["model"](StageInputs(self.scale, NoSettings(), {})))
        return id_

    def about(self, model: str) -> ModelDescription:
        """What the model's configuration says."""
        del model
        return self.outline.about

    def read(self, reader: Callable[[Lake, str], Read], artifact: str, nothing: Read) -> Read:
        """Nothing: most artifacts are not there yet."""
        del reader, artifact
        return nothing

    def find_valid(self, id_: str) -> Manifest | None:
        """The manifest of an artifact that seems to be there. Its bytes are not read: a run does that."""
        try:
            return None if id_ in self._unknown else self.lake.find(id_)
        except StorageError:
            return None

    def note(self, stage: str, ref: ArtifactRef, *, reused: bool, seconds: float, label: str = "") -> None:
        """Never asked: a plan meets no artifact outside `run` and `pin`."""
        raise NotImplementedError

    def flush(self) -> None:
        """There is no run to record."""

    def _note(self, stage: str, id_: str, label: str, size: StageCost) -> None:
        found = self.find_valid(id_)
        self.rows[id_] = size.rows if found is None else rows_of(found)
        known = None if id_ in self._unknown else id_
        told = size.bytes if found is None else found.bytes
        reused = found is not None or id_ in self.elsewhere
        self.pieces[id_] = PlannedArtifact(stage, self.prefix + label, known, reused, size, told)


def rows_of(manifest: Manifest) -> float:
    """What the table of costs counts of an artifact: rows, and tokens of tokens and of moments."""
    counted = {"tokens": "found", "second_moment": "tokens"}.get(manifest.kind)
    return float(manifest.about.get(counted, manifest.rows)) if counted else float(manifest.rows)


def no_record(name: str) -> RunRecord:
    """A record for a pipeline that records nothing."""
    return RunRecord("plan", name, {}, None, "", {}, "", 0, 0.0)
