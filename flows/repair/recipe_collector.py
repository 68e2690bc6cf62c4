"""A pipeline that computes nothing: it follows the flow of a run and records the recipe of every artifact.

The inputs of the run, such as the facts of its spec, are read again from their sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from editflow.flows.console.errors import UsageError
from editflow.flows.edit_model import edit
from editflow.flows.pipeline.pipeline import Pipeline, Read
from editflow.flows.spec.consent import require_agreement, source_downloads
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
    """{id: recipe} of every artifact that a run used, except its model. Reads the facts and hashes the corpus.

    Raises UsageError for a run that cannot be repeated or that needs a download without `download`, and UnknownSource
    and similar errors for a missing source.
    """
    spec = spec_with_local_inputs(record)
    require_agreement(source_downloads(input_sources(spec)), download, packed=False)
    pipe = RecipeCollector(lake, record, spec.model.device, lambda _use, _ref: None)
    edit(spec, pipe)
    return pipe.found


@dataclass
class RecipeCollector(Pipeline):
    """`found` has the recipe of every artifact that the flow asked for."""

    found: dict[str, Recipe[Any] | ImportedTable] = field(default_factory=dict)

    def run(self, stage: Stage[Settings], settings: Settings, parents: Parents, label: str = "") -> str:
        """The id of the stage's artifact."""
        del label
        recipe = Recipe(stage, settings, parents)
        self.found[recipe.id] = recipe
        return recipe.id

    def import_table(self, imported: ImportedTable, label: str = "") -> str:
        """The id of the artifact."""
        del label
        self.found[imported.id] = imported
        return imported.id

    def pin(self, model: ModelSection) -> str:
        """The model of the run. Raises UsageError if its record has none."""
        del model
        pinned = next((use.artifact for use in self.record.uses if use.stage == "model"), None)
        if pinned is None:
            raise UsageError(f"run {self.record.run_id} has no model in its record: another version made it")
        return pinned

    def read(self, reader: Callable[[Lake, str], Read], artifact: str, nothing: Read) -> Read:
        """Return `nothing`: damaged artifacts must not be read."""
        del reader, artifact
        return nothing

    def find_valid(self, id_: str) -> Manifest | None:
        """The manifest of an artifact, or None; nothing is checked or set aside."""
        return self.lake.find(id_)

    def flush(self) -> None:
        """Do nothing: there is no run to record."""
