"""Compare a run with its repetition, artifact by artifact: equal content, or the distance and its likely causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as of

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import ArtifactRef, Lake, Manifest
from editflow.storage.errors import StorageError
from editflow.storage.index.catalog import Catalog
from editflow.storage.records.runs import RunRecord, Use
from editflow.tasks.environment import environment
from editflow.tasks.reproduction.model_diff import ChangedSetting, settings

VERSION = 1


class Before(Protocol):
    """The artifacts of a recorded run: in a lake, or in a bundle, which has only their manifests."""

    def find(self, artifact: str, /) -> Manifest | None:
        """The manifest of an artifact; None if there is none."""

    def read(self, artifact: str, /) -> pa.Table:
        """The content of an artifact. Raises StorageError."""


class ComparedArtifact(TypedDict):
    """An artifact of a run, compared with the repeated one; see Repetition."""

    stage: str
    artifact: str
    digest: str | None
    again: str | None
    same: bool
    largest: float | None
    relative: float | None
    note: str


@dataclass(frozen=True)
class Repetition:
    """The comparison of a finished run with its repetition: one row for each artifact of the run.

    `rows` have stage, artifact, digest, again (the digest of the repeated artifact; None: see `note`), same, largest
    and relative (see `distance`; None if there are no numbers to compare) and note. `explains` lists the differences of
    the recorded environments: key, one (then), other (now).
    """

    run: str
    state: str
    rows: Sequence[ComparedArtifact]
    explains: Sequence[ChangedSetting]

    @property
    def same(self) -> bool:
        """Whether all artifacts have the same content."""
        return all(row["same"] for row in self.rows)


def compare_runs(before: Before, first: RunRecord, fresh: Lake, again: RunRecord) -> Repetition:
    """Compare a run with its repetition in another lake, stage by stage."""
    repeated = {use.stage: fresh.manifest(use.artifact) for use in again.uses}
    rows = [_compare_artifact(before, fresh, use, repeated.get(use.stage)) for use in first.uses]
    explains = settings(first.environment, again.environment)
    return Repetition(first.run_id, first.state or "", rows, explains)


def distance(one: pa.Table, other: pa.Table) -> tuple[float, float] | None:
    """(largest absolute difference of two numbers, largest difference relative to its column's maximum) of two tables.

    None if the columns or the number of rows differ, or if numbers are missing in different places.
    """
    if one.schema != other.schema or one.num_rows != other.num_rows:
        return None
    largest = relative = 0.0
    for name in one.column_names:
        ours, theirs = (_numbers(table[name]) for table in (one, other))
        if ours is None or theirs is None:
            continue
        if ours.shape != theirs.shape or (np.isnan(ours) != np.isnan(theirs)).any():
            return None
        if len(ours):
            difference = float(np.nanmax(np.abs(ours - theirs), initial=0.0))
            maximum = max(float(np.nanmax(np.abs(ours), initial=0.0)), np.finfo(float).tiny)
            largest, relative = max(largest, difference), max(relative, difference / maximum)
    return largest, relative


def archive(lake: Lake, found: Repetition, at: str) -> ArtifactRef:
    """Store a repetition in a lake, as a child of the repeated run's state. `at`: when it began."""
    columns = kind("reproduction").schema
    rows = [{name: value for name, value in row.items() if name in columns.names} for row in found.rows]
    spec = {"run": found.run, "at": at}
    table = pa.Table.from_pylist(rows, schema=columns)
    ref = lake.write("reproduction", VERSION, spec, {"state": found.state}, table, environment=environment())
    Catalog(lake).record_artifact(lake.manifest(ref.id))
    return ref


def _compare_artifact(before: Before, fresh: Lake, use: Use, again: Manifest | None) -> ComparedArtifact:
    row: ComparedArtifact = {
        "stage": use.stage, "artifact": use.artifact, "digest": None, "again": again.digest if again else None,
        "same": False, "largest": None, "relative": None, "note": "",
    }  # fmt: skip
    recorded = before.find(use.artifact)
    if recorded is None:
        return row | {"note": "no longer in the lake"}
    row["digest"] = recorded.digest
    if again is None:
        return row | {"note": "missing from the repetition"}
    if recorded.digest == again.digest:
        return row | {"same": True}
    try:
        difference = distance(before.read(use.artifact), fresh.read(again.id))
    except StorageError as error:
        return row | {"note": str(error)}
    if difference is None:
        return row | {"note": "different rows"}
    note = "" if any(difference) else "different text"
    return row | {"largest": difference[0], "relative": difference[1], "note": note}


def _numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """All numbers of a column in order, as float64, with NaN for nulls; None for a column without numbers."""
    while of.is_list(column.type):
        column = pc.list_flatten(column)
    if not (of.is_floating(column.type) or of.is_integer(column.type) or of.is_boolean(column.type)):
        return None
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
