"""Stages: how an artifact of one kind is computed from its settings and parents, and the Prefect task for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypedDict

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from editflow.storage.artifacts.identity import only_parent, parents_in, recipe_id
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.unindexed_artifacts import unindexed
from editflow.tasks.environment import environment
from editflow.tasks.stages.settings import Recipe, Settings, read_settings, recipe

if TYPE_CHECKING:
    import pyarrow as pa

    from editflow.editing.models.editable import EditableModel
    from editflow.tasks.models.model_session import ModelSession

Parents = Mapping[str, str | Sequence[str]]


class RunContext(TypedDict, total=False):
    """Values that differ between machines and runs, and so are not part of a recipe."""

    device: str
    run: str | None
    label: str


@dataclass(frozen=True)
class Work(Generic[Settings]):
    """The argument of a stage's function: the lake, the stage's settings, and the ids of its parents by role.

    The function may add entries to `about`, which are recorded with the artifact, and to `also` the table of the
    stage's second artifact, by stage name.
    """

    lake: Lake
    settings: Settings
    parents: Parents
    context: RunContext = field(default_factory=RunContext)
    about: dict[str, Any] = field(default_factory=dict)
    also: dict[str, pa.Table] = field(default_factory=dict)

    def label(self, default: str) -> str:
        """The run's label of this step, such as "target values 3", or a default."""
        return self.context.get("label") or default

    @property
    def device(self) -> str:
        """The torch device for models."""
        return self.context.get("device", "cpu")

    def one(self, role: str) -> str:
        """The id of the only parent in a role."""
        return only_parent(self.parents, role)

    def many(self, role: str) -> list[str]:
        """The ids of all parents in a role, in order; empty if there are none."""
        return parents_in(self.parents, role)

    def table(self, role: str) -> pa.Table:
        """The payload of the only parent in a role; its digest is checked."""
        return self.lake.read(self.one(role))

    def session(self, role: str) -> ModelSession:
        """The loaded model of the state (or model) in a role. Its weights may be in another state."""
        from editflow.tasks.models.model_identity import open_session

        return open_session(self.lake, self.one(role), self.device)

    def model(self, role: str) -> EditableModel:
        """The model, switched to the state in a role."""
        return self.session(role).load_state(self.lake, self.one(role))


@dataclass(frozen=True)
class Stage(Generic[Settings]):
    """`compute` returns the payload table of an artifact of `kind`; `settings` is the class of `work.settings`.

    `roles` are the allowed roles of parents, some of them optional; with None, any role is allowed.

    `also` is a second stage whose artifact the same computation produces from the same settings and parents: `compute`
    puts its table into `work.also`. The second stage's own `compute` returns that table alone.

    Raise `version` whenever the same settings and parents give other numbers than before. The golden tests on a tiny
    model fail until this is done.
    """

    name: str
    kind: str
    version: int
    settings: type[Settings]
    compute: Callable[[Work[Settings]], pa.Table]
    roles: tuple[str, ...] | None
    also: Stage[Settings] | None = None

    def recipe(self, settings: Settings) -> Recipe:
        """The settings in the form that the id hashes."""
        return {"stage": self.name, **recipe(settings)}

    def read(self, recorded: Recipe) -> Settings:
        """The settings of a recorded recipe. Raises ValueError or InvalidOption if it is not a recipe of this stage."""
        return read_settings(self.settings, {key: value for key, value in recorded.items() if key != "stage"})

    def id(self, settings: Settings, parents: Parents) -> str:
        """The id of the artifact, whether or not it exists."""
        return recipe_id(self.kind, self.version, self.recipe(settings), parents)

    def perform(self, lake: str, settings: Settings, parents: Parents, context: RunContext) -> ArtifactRef:
        """Find the artifact in the lake, or compute and store it. Raises ValueError for an unknown role."""
        if self.roles is not None and (unknown := set(parents) - {*self.roles}):
            raise ValueError(f"stage {self.name} has no role {sorted(unknown)[0]!r}: it has {', '.join(self.roles)}")
        store = Lake.open(lake)
        found = store.find_and_touch(self.id(settings, parents))
        if found is not None:
            return found.ref
        work = Work(store, settings, parents, context)
        started = time.perf_counter()
        table = self.compute(work)
        if self.also is not None and self.also.name in work.also:
            self.also._write(work, work.also[self.also.name], 0.0, {})
        return self._write(work, table, time.perf_counter() - started, work.about)

    def _write(self, work: Work[Settings], table: pa.Table, seconds: float, about: Mapping[str, Any]) -> ArtifactRef:
        return work.lake.write(
            self.kind, self.version, self.recipe(work.settings), work.parents, table,
            created_by=work.context.get("run"), seconds=seconds, environment=environment(work.device), about=about,
        )  # fmt: skip

    def task(self) -> Task[..., Any]:
        """The Prefect task of this stage; its parameters are plain JSON, for the run's page."""

        def stage(lake: str, spec: Recipe, parents: dict[str, Any], how: RunContext, known: bool) -> Any:
            return task_result(self.perform(lake, self.read(spec), parents, how), known=known)

        return make_task(self.name, stage)


def make_task(name: str, function: Callable[..., Any]) -> Task[..., Any]:
    """A Prefect task that neither stores nor looks up results: artifacts are in the lake."""
    return Task(fn=function, name=name, cache_policy=NO_CACHE, persist_result=False, result_serializer="json")


def task_result(ref: ArtifactRef, *, known: bool) -> Any:
    """The return value of a task, for Prefect's page: a reference as JSON, in state Cached for a `known` artifact."""
    if known:
        return Completed(name="Cached", message=f"the lake has artifact {ref.id}", data=ref.to_json())
    return ref.to_json()


def perform_and_index(
    stage: Stage[Settings], lake: Lake, settings: Settings, parents: Parents, context: RunContext
) -> ArtifactRef:
    """`perform` outside of a run: also writes a new artifact to the index, as a run would."""
    known = lake.find(stage.id(settings, parents))
    ref = stage.perform(lake.uri, settings, parents, context)
    if known is None or unindexed(lake, [ref.id]):
        Catalog(lake).record_artifact(lake.manifest(ref.id))
    return ref
