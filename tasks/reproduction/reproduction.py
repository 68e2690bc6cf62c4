"""A run compared with its repetition, artifact by artifact: equal content, or the distance and its likely causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as of

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import ArtifactRef, Lake, Manifest
from editflow.storage.errors import StorageError
from editflow.storage.index.catalog import Catalog
from editflow.storage.records.runs import RunRecord
from editflow.tasks.reproduction.model_diff import ChangedSetting, settings

VERSION = 1
GONE, MISSING = "no longer in the lake", "not made again"


class Before(Protocol):
    """Where a run's artifacts are looked up: its lake, or a packed run, which has their digests alone."""

    def find(self, artifact: str, /) -> Manifest | None:
        """What is known of an artifact; None for nothing."""

    def read(self, artifact: str, /) -> pa.Table:
        """Its content. Raises StorageError."""


class ComparedArtifact(TypedDict):
    """An artifact of a run beside the repeated one; see Repetition."""

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
    """A finished run, the run that repeated it, and a row for each artifact of the first.

    `rows` have stage, artifact, digest, again (the digest that came now, None: `note` says why), same, largest and
    relative (see `distance`; None where there are no numbers to compare) and note. `explains` are the recorded
    differences of environment: key, one (then), other (now).
    """

    run: str
    state: str
    rows: Sequence[ComparedArtifact]
    explains: Sequence[ChangedSetting]

    @property
    def same(self) -> bool:
        """Whether everything came out with the content that it had."""
        return all(row["same"] for row in self.rows)


def compared(lake: Before, first: RunRecord, fresh: Lake, again: RunRecord) -> Repetition:
    """Set a run beside its repetition in another lake, by the names of their stages."""
    made = {use.stage: fresh.manifest(use.artifact) for use in again.uses}
    rows = [_row(lake, fresh, use.stage, use.artifact, made.get(use.stage)) for use in first.uses]
    explains = settings(first.environment, again.environment)
    return Repetition(first.run_id, first.state or "", rows, explains)


def distance(one: pa.Table, other: pa.Table) -> tuple[float, float] | None:
    """(largest absolute difference of any number, the same beside the largest number of its column) of two tables.

    None where they have other rows, other columns, or numbers that are nowhere to be set against each other.
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
            apart = float(np.nanmax(np.abs(ours - theirs), initial=0.0))
            largest = max(largest, apart)
            relative = max(relative, apart / max(float(np.nanmax(np.abs(ours), initial=0.0)), np.finfo(float).tiny))
    return largest, relative


def archive(lake: Lake, found: Repetition, at: str, environment: dict[str, Any]) -> ArtifactRef:
    """Keep a repetition beside the run that it repeated, as a child of that run's state."""
    columns = kind("reproduction").schema
    rows = [{name: value for name, value in row.items() if name in columns.names} for row in found.rows]
    spec = {"run": found.run, "at": at}
    table = pa.Table.from_pylist(rows, schema=columns)
    ref = lake.write("reproduction", VERSION, spec, {"state": found.state}, table, environment=environment)
    Catalog(lake).record_artifact(lake.manifest(ref.id))
    return ref


def _row(lake: Before, fresh: Lake, stage: str, artifact: str, again: Manifest | None) -> ComparedArtifact:
    row: ComparedArtifact = {
        "stage": stage, "artifact": artifact, "digest": None, "again": again.digest if again else None,
        "same": False, "largest": None, "relative": None, "note": "",
    }  # fmt: skip
    before = lake.find(artifact)
    if before is None:
        return row | {"note": GONE}
    row["digest"] = before.digest
    if again is None:
        return row | {"note": MISSING}
    if before.digest == again.digest:
        return row | {"same": True}
    try:
        apart = distance(lake.read(artifact), fresh.read(again.id))
    except StorageError as error:
        return row | {"note": str(error)}
    if apart is None:
        return row | {"note": "other rows"}
    return row | {"largest": apart[0], "relative": apart[1]}


def _numbers(column: pa.ChunkedArray) -> np.ndarray | None:
    """All numbers of a column in order, as float64; None for what holds none. Nulls are NaN."""
    while of.is_list(column.type):
        column = pc.list_flatten(column)
    if not (of.is_floating(column.type) or of.is_integer(column.type) or of.is_boolean(column.type)):
        return None
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
