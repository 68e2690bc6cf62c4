"""Runs stages in order in a lake: reuse, recomputation of lost artifacts, and the record of both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from prefect import Task

from editflow.flows.console.output import print_line
from editflow.flows.spec.sections import ModelSection
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.store import ArtifactRef, Lake, Manifest
from editflow.storage.errors import DamagedPayload, MissingPayload, StorageError
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.unindexed_artifacts import unindexed
from editflow.storage.records.runs import RunRecord, Runs, Use
from editflow.tasks.console.progress import working
from editflow.tasks.console.terminal import quoted
from editflow.tasks.environment import environment
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.models.model_identity import identify
from editflow.tasks.stages.settings import Settings
from editflow.tasks.stages.stage import Parents, Stage, make_task, task_result

Report = Callable[[Use, ArtifactRef], None]
Read = TypeVar("Read")


@dataclass
class Pipeline:
    """The stages of one run. `uses` holds every artifact that it created or reused, in order."""

    lake: Lake
    record: RunRecord
    device: str
    report: Report
    uses: dict[str, Use] = field(default_factory=dict)
    prefix: str = ""
    """The prefix of the labels of all further artifacts."""
    _flushed: set[str] = field(default_factory=set)
    _tasks: dict[Stage[Any], Task[..., Any]] = field(default_factory=dict)

    def run(self, stage: Stage[Settings], settings: Settings, parents: Parents, label: str = "") -> str:
        """The id of the stage's artifact, computed if the lake does not have it."""
        found = self.find_valid(stage.id(settings, parents))
        started = time.perf_counter()
        # An artifact that another stage of this run has written, such as a batch's keys, still counts as created.
        reused = found is not None and found.created_by != self.record.run_id
        ref = self._call(stage, settings, parents, known=reused, label=label or stage.name)
        self.note(stage.name, ref, reused=reused, seconds=time.perf_counter() - started, label=label)
        return ref.id

    def import_table(self, imported: ImportedTable, label: str = "") -> str:
        """The id of an imported table, written if the lake does not have it."""
        found = self.find_valid(imported.id)
        reused = found is not None and found.created_by != self.record.run_id
        started = time.perf_counter()
        ref = self._import(imported, known=reused, label=label or imported.name)
        self.note(imported.name, ref, reused=reused, seconds=time.perf_counter() - started, label=label)
        return ref.id

    def pin(self, model: ModelSection) -> str:
        """The id of the artifact that pins a model; an unknown model is loaded for it."""
        started = time.perf_counter()
        ref, known = identify(self.lake, model.source, model.dtype, model.device, self.record.run_id, self.find_valid)
        self.note("model", ref, reused=known, seconds=time.perf_counter() - started)
        return ref.id

    def about(self, model: str) -> ModelDescription:
        """The description of a model that was recorded when it was pinned."""
        return ModelDescription.read(self.lake.manifest(model))

    def read(self, reader: Callable[[Lake, str], Read], artifact: str, nothing: Read) -> Read:
        """The result of a reader on an artifact; a dry run returns `nothing` instead."""
        del nothing
        return reader(self.lake, artifact)

    def note(self, stage: str, ref: ArtifactRef, *, reused: bool, seconds: float, label: str = "") -> None:
        """Add an artifact to the run's record and print it."""
        if ref.id in self.uses:
            return
        use = Use(
            ref.id,
            self.prefix + (label or stage),
            "reused" if reused else "created",
            0.0 if reused else round(seconds, 3),
        )
        self.uses[ref.id] = use
        self.report(use, ref)

    def find_valid(self, id_: str) -> Manifest | None:
        """The manifest of an artifact, or None. All bytes are checked once per run; a damaged payload is set aside."""
        if id_ in self.uses or not self.lake.is_committed(id_):
            return self.lake.find_and_touch(id_)
        self.lake.touch(id_)
        try:
            with working("checking the lake"):
                fault = self.lake.fault(id_)
        except DamagedPayload as error:  # the manifest itself is damaged
            fault = error
        if fault is not None:
            self.discard(id_, fault)
            return None
        return self.lake.manifest(id_)

    def discard(self, id_: str, fault: StorageError) -> None:
        """Set a damaged payload aside and print that; its stage recomputes it."""
        print_line(f"  [yellow]{quoted(fault)}[/]: recomputed")
        self.lake.discard_payload(id_)
        self.uses.pop(id_, None)
        self._flushed.discard(id_)

    def flush(self) -> None:
        """Write new artifacts and uses to the index, in one commit per table."""
        new = [use for id_, use in self.uses.items() if id_ not in self._flushed]
        made = [self.lake.manifest(use.artifact) for use in new if use.how == "created"]
        Catalog(self.lake).record_many(artifacts=made, uses=[(self.record.run_id, use) for use in new])
        self._flushed |= {use.artifact for use in new}

    def close(self) -> None:
        """Flush for the last time, and add reused artifacts that crashed runs did not write to the index."""
        missing = unindexed(self.lake, self._reused_from_incomplete_runs())
        Catalog(self.lake).record_many(artifacts=map(self.lake.manifest, missing))
        self.flush()

    def _reused_from_incomplete_runs(self) -> Iterator[str]:
        """Reused artifacts of runs that did not complete; the index has all artifacts of completed runs."""
        runs, begun = Runs(self.lake.files), {*self.lake.files.list("runs")}
        is_completed = cache(lambda run: run in begun and runs.get_or_damaged(run).status == "completed")
        for id_ in [id_ for id_, use in self.uses.items() if use.how == "reused"]:
            with suppress(StorageError):  # damaged meanwhile
                if (made := self.lake.load_manifest(id_)) is not None and not is_completed(made.created_by):
                    yield id_

    def _call(
        self, stage: Stage[Settings], settings: Settings, parents: Parents, *, known: bool, label: str
    ) -> ArtifactRef:
        """Run the stage's Prefect task. Its result is not used; the artifact is looked up in the lake."""
        if stage not in self._tasks:
            self._tasks[stage] = stage.task()
        how = {"run": self.record.run_id, "device": self.device, "label": label}
        task: Any = self._tasks[stage].with_options(task_run_name=label)
        task(self.lake.uri, stage.recipe(settings), dict(parents), how, known)
        return self._stored(stage.id(settings, parents))

    def _import(self, imported: ImportedTable, *, known: bool, label: str) -> ArtifactRef:
        """Write an imported table in a Prefect task, so that the run's page shows it."""

        def store(lake: str, spec: dict[str, Any], run: str) -> Any:
            del spec  # only shown on the run's page
            ref = imported.store(Lake.open(lake), run=run, environment=environment(self.device))
            return task_result(ref, known=known)

        task: Any = make_task(imported.name, store).with_options(task_run_name=label)
        task(self.lake.uri, imported.recipe, self.record.run_id)
        return self._stored(imported.id)

    def _stored(self, id_: str) -> ArtifactRef:
        if (found := self.lake.find(id_)) is None:
            raise MissingPayload(id_)
        return found.ref
