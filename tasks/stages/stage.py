"""A stage: one kind of artifact, how it is computed from its settings and parents, and its Prefect task."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from editflow.storage.artifacts.identity import only_parent, parents_in, recipe_id
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.unindexed_artifacts import unindexed
from editflow.tasks.environment import environment
from editflow.tasks.stages.settings import Settings, read_settings, recipe

if TYPE_CHECKING:
    import pyarrow as pa

    from editflow.editing.models.editable import EditableModel
    from editflow.tasks.models.model_session import ModelSession

Parents = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Work(Generic[Settings]):
    """What a stage's function gets: the lake, the stage's settings, and the ids of its parents by role.

    `how` holds what differs between machines and runs and is no part of the recipe: the device, the run's id and its
    label of the step. What the function puts into `about` is recorded beside the artifact; what it puts into `also`,
    by stage name, is the table of the stage's second artifact.
    """

    lake: Lake
    settings: Settings
    parents: Parents
    how: Mapping[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    also: dict[str, pa.Table] = field(default_factory=dict)

    def label(self, default: str) -> str:
        """The run's name of this step for people, such as "target values 3"."""
        return str(self.how.get("label") or default)

    @property
    def device(self) -> str:
        """Where models run, as torch names it."""
        return str(self.how.get("device", "cpu"))

    def one(self, role: str) -> str:
        """The id of the only parent in a role."""
        return only_parent(self.parents, role)

    def many(self, role: str) -> list[str]:
        """The ids of all parents in a role, in order; empty when the role is not filled."""
        return parents_in(self.parents, role)

    def table(self, role: str) -> pa.Table:
        """The payload of the only parent in a role, checked against its digest."""
        return self.lake.read(self.one(role))

    def session(self, role: str) -> ModelSession:
        """The loaded model that the state (or model) in a role belongs to, in its current state."""
        from editflow.tasks.models.model_identity import open_session

        return open_session(self.lake, self.one(role), self.device)

    def model(self, role: str) -> EditableModel:
        """The model in the state of a role."""
        return self.session(role).load_state(self.lake, self.one(role))


@dataclass(frozen=True)
class Stage(Generic[Settings]):
    """`compute` turns Work into the payload table of an artifact of `kind`; `settings` is the class of `work.settings`.
    `roles` are those that parents may have, some of them optional; None: they are other names in each recipe.

    `also` is a second stage whose artifact the same computation gives, under the same settings and parents: `compute`
    puts its table into `work.also`. By itself the second stage computes that table alone.

    Raise `version` whenever the same settings and parents would give other numbers than before; the golden tests on a
    tiny model fail until that is done.
    """

    name: str
    kind: str
    version: int
    settings: type[Settings]
    compute: Callable[[Work[Settings]], pa.Table]
    roles: tuple[str, ...] | None
    also: Stage[Settings] | None = None

    def recipe(self, settings: Settings) -> dict[str, Any]:
        """The settings as the id hashes them."""
        return {"stage": self.name, **recipe(settings)}

    def read(self, recorded: Mapping[str, Any]) -> Settings:
        """The settings of a recorded recipe. Raises ValueError or InvalidOption where it is none of this stage."""
        return read_settings(self.settings, {key: value for key, value in recorded.items() if key != "stage"})

    def id(self, settings: Settings, parents: Parents) -> str:
        """The id that the artifact has, or will have."""
        return recipe_id(self.kind, self.version, self.recipe(settings), parents)

    def perform(self, lake: str, settings: Settings, parents: Parents, how: Mapping[str, Any]) -> ArtifactRef:
        """Find the artifact in the lake, or compute and store it. ValueError: a parent has no role here."""
        if self.roles is not None and (unknown := set(parents) - {*self.roles}):
            raise ValueError(f"stage {self.name} has no parent {sorted(unknown)[0]!r}: it has {', '.join(self.roles)}")
        store = Lake.open(lake)
        found = store.find_and_touch(self.id(settings, parents))
        if found is not None:
            return found.ref
        work = Work(store, settings, parents, how)
        started = time.perf_counter()
        table = self.compute(work)
        if self.also is not None and self.also.name in work.also:
            self.also._write(work, work.also[self.also.name], 0.0, {})
        return self._write(work, table, time.perf_counter() - started, work.about)

    def _write(self, work: Work[Settings], table: pa.Table, seconds: float, about: Mapping[str, Any]) -> ArtifactRef:
        return work.lake.write(
            self.kind, self.version, self.recipe(work.settings), work.parents, table,
            created_by=work.how.get("run"), seconds=seconds, environment=environment(work.device), about=about,
        )  # fmt: skip

    def task(self) -> Task[..., dict[str, Any]]:
        """The Prefect task of this stage; its parameters are plain JSON, for the run's page."""

        def stage(lake: str, spec: dict[str, Any], parents: dict[str, Any], how: dict[str, Any], known: bool) -> Any:
            return ended(self.perform(lake, self.read(spec), parents, how), known=known)

        return as_task(self.name, stage)


def as_task(name: str, function: Callable[..., Any]) -> Task[..., dict[str, Any]]:
    """A Prefect task that keeps no result and looks for none: the lake is asked what there is, not Prefect."""
    return Task(fn=function, name=name, cache_policy=NO_CACHE, persist_result=False, result_serializer="json")


def ended(ref: ArtifactRef, *, known: bool) -> Any:
    """What a task returns, for people: a reference as JSON, and state Cached for an artifact that the lake had."""
    if known:
        return Completed(name="Cached", message=f"the lake has artifact {ref.id}", data=ref.to_json())
    return ref.to_json()


def perform_and_index(
    stage: Stage[Settings], lake: Lake, settings: Settings, parents: Parents, how: Mapping[str, Any]
) -> ArtifactRef:
    """`perform` outside of a run, which would write new artifacts to the index: this does it too."""
    known = lake.find(stage.id(settings, parents))
    ref = stage.perform(lake.uri, settings, parents, how)
    if known is None or unindexed(lake, [ref.id]):
        Catalog(lake).record_artifact(lake.manifest(ref.id))
    return ref
