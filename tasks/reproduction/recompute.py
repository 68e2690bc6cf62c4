"""Recompute one artifact from its recorded parents, in a temporary lake that links to them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editflow.storage.artifacts.check import check_manifest, upstream
from editflow.storage.artifacts.identity import parent_pairs, table_digest
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.manifest import Manifest, folder_name, manifest_name
from editflow.storage.artifacts.payload_check import contradicts_payload
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import PayloadConflict, StorageError
from editflow.storage.records.runs import Runs, record_path
from editflow.tasks.environment import environment, threads_of
from editflow.tasks.models.model_identity import FINGERPRINTS
from editflow.tasks.report.report_stage import ReportSettings
from editflow.tasks.reproduction.recipes import Recipe
from editflow.tasks.reproduction.reproduction import distance
from editflow.tasks.stages.stage import Parents, RunContext, Work
from editflow.tasks.temporary_folders import temporary_folder

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Recomputed:
    """A recomputed table, its digest, its `about` fields, and the wall-clock seconds of the computation."""

    table: pa.Table
    digest: str
    about: Mapping[str, Any]
    seconds: float


def recompute(
    lake: Lake, recipe: Recipe[Any] | ImportedTable, made_with: Mapping[str, Any], label: str = ""
) -> Recomputed:
    """Recompute an artifact with the recorded number of threads and device. Writes nothing to the lake.

    Raises what the stage raises, such as MissingPayload of a parent.
    """
    if isinstance(recipe, ImportedTable):
        return Recomputed(recipe.table, table_digest(recipe.table), recipe.about, 0.0)
    context: RunContext = {"device": made_with.get("device", "cpu"), "label": label}
    with temporary_folder("verify") as folder, use_threads(made_with):
        scratch = Lake.open(folder / "lake", allowed_roots=[lake.files.root])
        link_inputs(lake, scratch, recipe)
        work, started = Work(scratch, recipe.settings, recipe.parents, context), time.perf_counter()
        table = recipe.stage.compute(work)
        return Recomputed(table, table_digest(table), work.about, time.perf_counter() - started)


def link_inputs(lake: Lake, scratch: Lake, recipe: Recipe[Any]) -> None:
    """Link everything that a recipe may read into the scratch lake, which can then set files aside without harm."""
    needed = [parent for _, parent in parent_pairs(recipe.parents)]
    names = [f"{FINGERPRINTS}/{name}" for name in lake.files.list(FINGERPRINTS)]
    if isinstance(recipe.settings, ReportSettings):  # a report reads the run's record
        run = recipe.settings.run
        needed += [use.artifact for use in Runs(lake.files).get(run).uses]
        names += [record_path(run, "started"), record_path(run, "finished")]
    for id_ in upstream(lake, *needed):
        made, _ = check_manifest(lake, id_)
        names += [manifest_name(id_), made.payload] if made else []
    for name in names:
        place = Path(scratch.files.path(name))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(lake.files.path(name))


@contextmanager
def use_threads(made_with: Mapping[str, Any]) -> Iterator[None]:
    """Use the recorded number of threads in a block; see `threads_of`."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads_of(made_with))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def store_recomputed(
    lake: Lake, recipe: Recipe[Any] | ImportedTable, again: Recomputed, recorded: Manifest | None, run: str | None
) -> None:
    """Replace a damaged or lost artifact by the recomputed one; damaged files are set aside.

    `recorded` is the manifest, or its copy in the index; without it, the artifact is recorded as made now by `run`.
    Raises PayloadConflict, and replaces nothing, if the content differs from the recorded digest, or from the digest in
    a payload's name.
    """
    id_, (kept, _) = recipe.id, check_manifest(lake, recipe.id)
    if recorded and not contradicts_payload(lake.files, recorded):
        known = {recorded.digest[:16]}
    else:
        known = _payload_digests(lake, id_)
    if known and again.digest[:16] not in known:
        expected = recorded.digest if recorded else min(known)
        raise PayloadConflict(id_, expected, again.digest, _largest_difference(lake, id_, again))
    if kept is not None:
        lake.discard_payload(id_)
    else:
        lake.files.set_aside(manifest_name(id_))
    parents: Parents = {}
    if isinstance(recipe, ImportedTable):
        kind, version, spec = recipe.kind, recipe.version, recipe.recipe
    else:
        stage, parents = recipe.stage, recipe.parents
        kind, version, spec = stage.kind, stage.version, dict(stage.recipe(recipe.settings))
    lake.write(
        kind, version, spec, parents, again.table,
        created_by=recorded.created_by if recorded else run,
        seconds=recorded.seconds if recorded else again.seconds,
        environment=recorded.environment if recorded else environment(),
        about=recorded.about if recorded else again.about,
    )  # fmt: skip


def _payload_digests(lake: Lake, id_: str) -> set[str]:
    """The first 16 digits of each payload's digest, from the file names in an artifact's folder."""
    names = lake.files.list(folder_name(id_))
    return {name[8:24] for name in names if name.startswith("payload-") and name.endswith(".parquet")}


def _largest_difference(lake: Lake, id_: str, again: Recomputed) -> float | None:
    """The largest difference from the stored numbers; None if they cannot be read or compared."""
    try:
        found = distance(lake.read(id_), again.table)
    except StorageError:
        return None
    return found[0] if found else None
