"""The stage, settings and parents of a recorded artifact.

Most artifacts can be recomputed from their recipe and parents alone. A model and documents also need their source,
which is in the manifest's `about`. The facts of a run's spec need the run; see flows/repair/recipe_collector.py.
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
"""Stages that read finished runs."""


class NotRepeatable(TaskError):
    """An artifact that cannot be recomputed from its record."""


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
    stage = _stage_with_source(name, made.about) or STAGES.get(name) or PAGES.get(name)
    if stage is None:
        reason = "its content was given to a run" if made.kind in IMPORTED else "no stage of this version makes it"
        raise NotRepeatable(f"{made.kind} {made.id[:12]}: {reason}")
    try:
        found = Recipe(stage, stage.read(made.spec), made.parents)
    except (ValueError, LookupError, TypeError, EditingError) as error:
        raise NotRepeatable(
            f"{made.kind} {made.id[:12]}: stage {name} of this version does not know its recipe"
        ) from error
    if found.id != made.id:
        versions = f"version {made.version} of its stage made it, and this is {stage.version}"
        raise NotRepeatable(f"{made.kind} {made.id[:12]}: {versions}")
    return found


def source_of(made: Manifest) -> str:
    """The source outside the lake that recomputing an artifact reads, from its manifest; empty if there is none."""
    return str(made.about["source"]) if made.spec.get("stage") == "documents" and "source" in made.about else ""


def _stage_with_source(name: str, about: Mapping[str, Any]) -> Stage[Any] | None:
    if name == "model" and {"folder", "dtype"} <= about.keys():
        return model_stage(str(about["folder"]), str(about["dtype"]))
    if name == "documents" and "source" in about:
        return documents_stage(str(about["source"]))
    return None
