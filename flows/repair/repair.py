"""Recompute artifacts from their recorded parents, to compare them or to replace damaged ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypedDict

from editflow.editing.errors import EditingError, first_line
from editflow.flows.console.errors import UsageError
from editflow.flows.repair.recipe_collector import collect_recipes
from editflow.flows.repair.verify import Subject
from editflow.flows.spec.consent import require_agreement, source_downloads
from editflow.flows.spec.recorded_spec import repeatable
from editflow.storage.artifacts.check import ENCODING_DIFFERS, Fault, check_artifact, check_manifest, upstream
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.payload_check import reencode_if_corrupt
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.errors import StorageError
from editflow.storage.maintenance.restore import manifest_from_index, restore_manifest, restore_record
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.environment import environment
from editflow.tasks.errors import TaskError
from editflow.tasks.reproduction.model_diff import ChangedSetting, settings
from editflow.tasks.reproduction.recipes import NotRepeatable, Recipe, recipe_of, source_of
from editflow.tasks.reproduction.recompute import recompute, store_recomputed
from editflow.tasks.reproduction.reproduction import distance

FAILURES = (EditingError, StorageError, TaskError, UsageError, OSError, RuntimeError, ValueError)
"""Errors that prevent recomputing an artifact: a missing source, an unavailable device, a lost parent."""


class RecomputedRow(TypedDict):
    """A recomputed artifact; see `recompute_all`."""

    stage: str
    artifact: str
    same: bool | None
    largest: float | None
    relative: float | None
    seconds: float | None
    note: str
    explains: list[ChangedSetting]


@dataclass(frozen=True)
class Recipes:
    """The recipes of artifacts of one lake; `wanted` are the ids that will be looked up.

    Remote sources are fetched only with `download`.
    """

    lake: Lake
    wanted: Collection[str]
    download: bool = False
    _by_run: dict[str, Mapping[str, Recipe[Any] | ImportedTable]] = field(default_factory=dict)

    def find(self, id_: str, manifest: Manifest | None) -> tuple[Recipe[Any] | ImportedTable, RunRecord | None]:
        """The recipe from a copy of the manifest, or from a run that used the artifact. Raises NotRepeatable."""
        why = f"artifact {id_[:12]}: its recipe is not recorded, and no repeatable run used it"
        if manifest is not None:
            try:
                recipe = recipe_of(manifest)
                require_agreement(source_downloads({"corpus.source": source_of(manifest)}), self.download, packed=False)
                return recipe, None
            except NotRepeatable as error:
                why = f"{error}, and no repeatable run used it"
            except UsageError as error:
                raise NotRepeatable(f"artifact {id_[:12]}: {first_line(error)}") from None
        for record in self._users.get(id_, ()):
            try:
                found = self._recipes_of_run(record)
            except FAILURES as error:
                why = f"artifact {id_[:12]}: run {record.run_id} cannot be repeated: {first_line(error)}"
                continue
            if id_ in found:
                return found[id_], record
        raise NotRepeatable(why)

    @cached_property
    def _users(self) -> dict[str, list[RunRecord]]:
        """The repeatable runs by the artifacts that they used, newest first. Cost: reads every run record once."""
        found: dict[str, list[RunRecord]] = {}
        for record in Runs(self.lake.files).newest():
            if repeatable(record):
                for use in record.uses:
                    if use.artifact in self.wanted:
                        found.setdefault(use.artifact, []).append(record)
        return found

    def _recipes_of_run(self, record: RunRecord) -> Mapping[str, Recipe[Any] | ImportedTable]:
        if record.run_id not in self._by_run:
            self._by_run[record.run_id] = collect_recipes(self.lake, record, download=self.download)
        return self._by_run[record.run_id]


def select_artifacts(lake: Lake, what: Subject, stages: Sequence[str]) -> list[tuple[str, Manifest]]:
    """(label, manifest) of the artifacts to recompute, in the order of their creation.

    `stages` are labels or their first words, stage names, or kinds; without any, all artifacts are selected. Raises
    UsageError if nothing matches.
    """
    if what.run is not None:
        named = {use.artifact: use.stage for use in Runs(lake.files).get_or_damaged(what.run).uses}
    else:
        named = dict.fromkeys(upstream(lake, what.artifact) if what.artifact else lake.ids(), "")
    there = [(label, made) for id_, label in named.items() if (made := check_manifest(lake, id_)[0])]
    if what.run is None:
        there.sort(key=lambda one: one[1].created_at)
    found = [(label or str(made.spec.get("stage", made.kind)), made) for label, made in there]
    kept = [one for one in found if not stages or any(_matches(stage, *one) for stage in stages)]
    if not kept:
        known = ", ".join(dict.fromkeys(label for label, _ in found)) or "none"
        raise UsageError(f"no stage {', '.join(stages)!r} to recompute; there are: {known}")
    return kept


def _matches(stage: str, label: str, made: Manifest) -> bool:
    return stage in {label, made.kind, made.spec.get("stage")} or label.startswith(f"{stage} ")


def recompute_all(
    lake: Lake, items: Sequence[tuple[str, Manifest]], *, download: bool = False
) -> Iterator[RecomputedRow]:
    """Recompute each artifact from its recorded parents and compare it with the stored one.

    Rows have stage, artifact, same (None if it could not be recomputed; `note` has the reason), largest and relative
    difference (see `distance` of tasks/reproduction/reproduction.py), seconds, and explains: settings of the recorded
    environment that differ here.
    """
    recipes = Recipes(lake, {made.id for _, made in items}, download)
    for label, made in items:
        row: RecomputedRow = {"stage": label, "artifact": made.id, "same": None, "largest": None, "relative": None,
                    "seconds": None, "note": "", "explains": []}  # fmt: skip
        try:
            recipe, _ = recipes.find(made.id, made)
            again = recompute(lake, recipe, made.environment, label)
        except FAILURES as error:
            row["note"] = first_line(error)
            yield row
            continue
        row["same"], row["seconds"] = again.digest == made.digest, round(again.seconds, 3)
        if not row["same"]:
            row["explains"] = settings(made.environment, environment(str(made.environment.get("device", "cpu"))))
            _add_distance(row, lake, made, again.table)
        yield row


def _add_distance(row: RecomputedRow, lake: Lake, made: Manifest, table: Any) -> None:
    try:
        found = distance(lake.read(made.id), table)
    except StorageError as error:
        row["note"] = str(error)
        return
    if found is None:
        row["note"] = "different rows"
    else:
        row["largest"], row["relative"] = found
        row["note"] = "" if any(found) else "different text"


def repair_all(lake: Lake, found: Sequence[Fault], *, download: bool = False) -> Iterator[tuple[Fault, bool, str]]:
    """Yield (fault, whether it was repaired, how or why not) for run records and artifacts.

    Damaged files are set aside, and replacements must have the recorded digest. An artifact waits until its damaged
    parents are repaired.
    """
    for fault in (one for one in found if one.repair == "record"):
        try:
            done = restore_record(lake, fault.id)
        except FAILURES as error:
            yield fault, False, first_line(error)
            continue
        yield fault, done, "restored from the index" if done else "the index does not have it"
    yield from _repair_artifacts(lake, [fault for fault in found if fault.repair == "artifact"], download)


def _repair_artifacts(lake: Lake, found: Sequence[Fault], download: bool) -> Iterator[tuple[Fault, bool, str]]:
    manifests = {fault.id: check_manifest(lake, fault.id)[0] or manifest_from_index(lake, fault.id) for fault in found}
    recipes = Recipes(lake, set(manifests), download)
    # Repair oldest first; artifacts of unknown age go last.
    left = sorted(found, key=lambda fault: one.created_at if (one := manifests[fault.id]) else "~")
    while left:
        why: dict[str, str] = {}
        for fault in left:
            try:
                how = _repair_artifact(lake, fault.id, manifests[fault.id], recipes)
            except FAILURES as error:
                why[fault.id] = first_line(error)
            else:
                yield fault, True, how
        stuck = [fault for fault in left if fault.id in why]
        if len(stuck) == len(left):
            yield from ((fault, False, why[fault.id]) for fault in stuck)
            return
        left = stuck


def _repair_artifact(lake: Lake, id_: str, manifest: Manifest | None, recipes: Recipes) -> str:
    """Repair an artifact; return how. Raises one of FAILURES."""
    made, fault = check_artifact(lake, id_)
    if made is not None and fault is not None and fault.wrong == ENCODING_DIFFERS:
        reencode_if_corrupt(lake.files, made, write=True)
        if check_artifact(lake, id_)[1] is None:
            return "written again from its own content"
    if restore_manifest(lake, id_):
        return "its manifest was restored from the index"
    recipe, record = recipes.find(id_, manifest)
    made_with = manifest.environment if manifest else record.environment if record else {}
    store_recomputed(lake, recipe, recompute(lake, recipe, made_with), manifest, record.run_id if record else None)
    fault = check_artifact(lake, id_)[1]
    if fault is not None:
        raise NotRepeatable(f"{fault.what} still {fault.wrong}")
    return "recomputed"
