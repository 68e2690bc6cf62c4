"""Tables from outside the lake, stored as artifacts whose recipe is their content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from editflow.storage.artifacts.identity import recipe_id, table_digest

if TYPE_CHECKING:
    import pyarrow as pa

    from editflow.storage.artifacts.manifest import ArtifactRef
    from editflow.storage.artifacts.store import Lake


@dataclass(frozen=True)
class ImportedTable:
    """A table that was read from outside, such as edit requests. `about` describes its origin for people.

    The id is a hash of the content: the same rows from another file are the same artifact.
    """

    kind: str
    table: pa.Table
    about: Mapping[str, Any] = field(default_factory=dict)
    version = 1

    @property
    def name(self) -> str:
        """The name of the step in a run."""
        return self.kind.replace("_", "-")

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The spec of the recipe."""
        return {"stage": self.name, "content": table_digest(self.table)}

    @cached_property
    def id(self) -> str:
        """The artifact's id, also before it is stored."""
        return recipe_id(self.kind, self.version, self.recipe, {})

    def store(self, lake: Lake, *, run: str | None = None, environment: Mapping[str, Any] | None = None) -> ArtifactRef:
        """Return the artifact if the lake has it, else write it. Raises as `Lake.write`."""
        found = lake.find_and_touch(self.id)
        if found is not None:
            return found.ref
        return lake.write(
            self.kind, self.version, self.recipe, {}, self.table,
            created_by=run, environment=environment, about=self.about,
        )  # fmt: skip
