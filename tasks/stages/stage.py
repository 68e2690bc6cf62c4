"""A stage: one kind of artifact, how it is computed from its parents, and the Prefect task that runs it.

The artifact's id is the hash of the stage's recipe, and the lake alone knows what is there under it: Prefect keeps no
results. Tasks take and return JSON (ids and specs), never tensors; what a stage computes goes to the lake and from
there to the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from editflow.storage.artifacts.identity import only_parent, parents_in, recipe_id
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.unindexed_artifacts import unindexed
from editflow.tasks.environment import environment

if TYPE_CHECKING:
    import pyarrow as pa
    from _typeshed import DataclassInstance

    from editflow.editing.models.editable import EditableModel
    from editflow.tasks.models.model_session import ModelSession

Parents = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Work:
    """What a stage's function is given: the lake, its spec and the ids of its parents by role.

    `how` holds what may differ between machines and runs without being part of the recipe: the device, the run's id
    and its label for the piece of work. What the function puts into `about` is recorded beside the artifact.
    """

    lake: Lake
    spec: Mapping[str, Any]
    parents: Parents
    how: Mapping[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def label(self, otherwise: str) -> str:
        """What the run calls this piece of work for people to read, such as "target values 3"."""
        return str(self.how.get("label") or otherwise)

    def one(self, role: str) -> str:
        """The id of the only parent in a role."""
        return only_parent(self.parents, role)

    def many(self, role: str) -> list[str]:
        """The ids of all parents in a role, in order; empty when the role is not filled."""
        return parents_in(self.parents, role)

    def table(self, role: str) -> pa.Table:
        """The payload of the only parent in a role, checked against its digest."""
        return self.lake.read(self.one(role))

    def live(self, role: str) -> ModelSession:
        """The loaded model that the state (or model) in a role belongs to, in whatever state it is now."""
        from editflow.tasks.models.model_identity import open_session

        return open_session(self.lake, self.one(role), self.how.get("device", "cpu"))

    def model(self, role: str) -> EditableModel:
        """The model in the state of a role."""
        return self.live(role).load_state(self.lake, self.one(role))


def recipe(options: DataclassInstance) -> dict[str, Any]:
    """An options object as part of a recipe.

    A field that is added later is declared with `metadata={"added": True}` and left out while it has its default, so
    that the ids of everything made before stay what they are.
    """
    named = {f.name: (getattr(options, f.name), f) for f in fields(options)}
    return {name: value for name, (value, f) in named.items() if not (f.metadata.get("added") and value == f.default)}


@dataclass(frozen=True)
class Stage:
    """`compute` turns Work into the payload table of an artifact of `kind`.

    Raise `version` whenever the same spec and parents would give other numbers than before; the golden tests on a
    tiny model fail until that is done.
    """

    name: str
    kind: str
    version: int
    compute: Callable[[Work], pa.Table]

    def id(self, spec: Mapping[str, Any], parents: Parents) -> str:
        """The id that the artifact of this recipe has, or will have."""
        return recipe_id(self.kind, self.version, {"stage": self.name, **spec}, parents)

    def perform(self, lake: str, spec: Mapping[str, Any], parents: Parents, how: Mapping[str, Any]) -> ArtifactRef:
        """Find the artifact in the lake, or compute and store it."""
        store = Lake.open(lake)
        found = store.find_and_touch(self.id(spec, parents))
        if found is not None:
            return found.ref
        work = Work(store, spec, parents, how)
        started = time.perf_counter()
        table = self.compute(work)
        return store.write(
            self.kind,
            self.version,
            {"stage": self.name, **spec},
            parents,
            table,
            created_by=how.get("run"),
            seconds=time.perf_counter() - started,
            environment=environment(str(how.get("device", "cpu"))),
            about=work.about,
        )

    def task(self) -> Task[..., dict[str, Any]]:
        """The Prefect task of this stage. It returns a reference as JSON, for people: the lake is asked, not Prefect.

        Prefect neither keeps results nor looks for any. `known` says that the lake has the artifact: the task then
        ends as Cached.
        """

        def stage(lake: str, spec: dict[str, Any], parents: dict[str, Any], how: dict[str, Any], known: bool) -> Any:
            ref = self.perform(lake, spec, parents, how)
            if known:
                return Completed(name="Cached", message=f"the lake has artifact {ref.id}", data=ref.to_json())
            return ref.to_json()

        return Task(fn=stage, name=self.name, cache_policy=NO_CACHE, persist_result=False, result_serializer="json")


def perform_and_index(
    stage: Stage, lake: Lake, spec: Mapping[str, Any], parents: Parents, how: Mapping[str, Any]
) -> ArtifactRef:
    """`perform` outside of a run, which would do it: what is new is written to the index as well."""
    known = lake.find(stage.id(spec, parents))
    ref = stage.perform(lake.uri, spec, parents, how)
    if known is None or unindexed(lake, [ref.id]):
        Catalog(lake).record_artifact(lake.manifest(ref.id))
    return ref
