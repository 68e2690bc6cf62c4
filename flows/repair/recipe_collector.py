"""A pipeline that computes nothing: it walks a run's flow and notes the recipe of every artifact.

So what a run was given, such as the facts of its spec, is read again where it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from editflow.flows.console.errors import UsageError
from editflow.flows.edit_model import edit
from editflow.flows.pipeline.pipeline import Pipeline, Read
from editflow.flows.spec.consent import elsewhere, require_agreement
from editflow.flows.spec.recorded_spec import input_sources, spec_with_local_inputs
from editflow.flows.spec.sections import ModelSection
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.records.runs import RunRecord
from editflow.tasks.reproduction.recipes import Recipe
from editflow.tasks.stages.settings import Settings
from editflow.tasks.stages.stage import Parents, Stage


def collect_recipes(
    lake: Lake, record: RunRecord, *, download: bool = False
) -> Mapping[str, Recipe[Any] | ImportedTable]:
    """{id: recipe} of all that a run made or reused, but its model. Reads the facts and digests the corpus.

    Raises UsageError for a run that cannot be repeated, or that without `download` would have something downloaded,
    UnknownSource and the like for a source that is gone.
    """
    spec = spec_with_local_inputs(record)
    require_agreement(elsewhere(input_sources(spec)), download, packed=False)
    pipe = RecipeCollector(lake, record, spec.model.device, lambda _use, _ref: None)
    edit(spec, pipe)
    return pipe.found


@dataclass
class RecipeCollector(Pipeline):
    """`found` holds the recipe of everything that the flow asked for."""

    found: dict[str, Recipe[Any] | ImportedTable] = field(default_factory=dict)

    def run(self, stage: Stage[Settings], settings: Settings, parents: Parents, label: str = "") -> str:
        """The id that the stage's artifact has."""
        del label
        recipe = Recipe(stage, settings, parents)
        self.found[recipe.id] = recipe
        return recipe.id

    def import_table(self, imported: ImportedTable, label: str = "") -> str:
        """The id that the artifact has."""
        del label
        self.found[imported.id] = imported
        return imported.id

    def pin(self, model: ModelSection) -> str:
        """The model that the run had."""
        del model
        pinned = next((use.artifact for use in self.record.uses if use.stage == "model"), None)
        if pinned is None:
            raise UsageError(f"run {self.record.run_id} has no model on record: it was made by another version")
        return pinned

    def read(self, reader: Callable[[Lake, str], Read], artifact: str, nothing: Read) -> Read:
        """Nothing: what is damaged must not be read."""
        del reader, artifact
        return nothing

    def find_valid(self, id_: str) -> Manifest | None:
        """The manifest of an artifact that seems to be there; nothing is set aside."""
        return self.lake.find(id_)

    def flush(self) -> None:
        """There is no run to record."""
