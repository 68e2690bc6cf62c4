"""From the record of an artifact to the stage that makes it, with its settings and parents.

What a stage needs is in its recipe, so most artifacts can be made again from their parents alone. Those that come from
outside need the place they came from: a model and documents, which is recorded beside them; or the facts of a run's
spec, see flows/repair/recipe_collector.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

from editflow.editing.errors import EditingError
from editflow.storage.artifacts.store import Manifest
from editflow.tasks.comparison.comparison_stage import COMPARISON
from editflow.tasks.errors import TaskError
from editflow.tasks.report.report_stage import REPORT
from editflow.tasks.report.sample_answers import ANSWERS
from editflow.tasks.stages.documents import documents_stage
from editflow.tasks.stages.model import model_stage
from editflow.tasks.stages.registry import IMPORTED, STAGES
from editflow.tasks.stages.settings import Settings
from editflow.tasks.stages.stage import Parents, Stage

PAGES: Mapping[str, Stage[Any]] = {stage.name: stage for stage in (ANSWERS, REPORT, COMPARISON)}
"""The stages of finished runs."""


class NotRepeatable(TaskError):
    """An artifact that cannot be made again from what is recorded of it."""


@dataclass(frozen=True)
class Recipe(Generic[Settings]):
    """A stage with the settings and parents of one artifact."""

    stage: Stage[Settings]
    settings: Settings
    parents: Parents

    @property
    def id(self) -> str:
        """The id of the artifact."""
        return self.stage.id(self.settings, self.parents)


def recipe_of(made: Manifest) -> Recipe[Any]:
    """The recipe of an artifact. Raises NotRepeatable."""
    name = str(made.spec.get("stage"))
    stage = _from_outside(name, made.about) or STAGES.get(name) or PAGES.get(name)
    if stage is None:
        given = "its content was given to a run" if made.kind in IMPORTED else "no stage of this version makes it"
        raise NotRepeatable(f"{made.kind} {made.id[:12]}: {given}")
    try:
        found = Recipe(stage, stage.read(made.spec), made.parents)
    except (ValueError, LookupError, TypeError, EditingError) as error:
        raise NotRepeatable(f"{made.kind} {made.id[:12]}: its recipe is not one of stage {name}") from error
    if found.id != made.id:
        versions = f"version {made.version} of its stage made it, and this is {stage.version}"
        raise NotRepeatable(f"{made.kind} {made.id[:12]}: {versions}")
    return found


def source_of(made: Manifest) -> str:
    """Where computing an artifact again reads from outside the lake, by its manifest; empty where it does not."""
    return str(made.about["source"]) if made.spec.get("stage") == "documents" and "source" in made.about else ""


def _from_outside(name: str, about: Mapping[str, Any]) -> Stage[Any] | None:
    if name == "model" and {"folder", "dtype"} <= about.keys():
        return model_stage(str(about["folder"]), str(about["dtype"]))
    if name == "documents" and "source" in about:
        return documents_stage(str(about["source"]))
    return None
