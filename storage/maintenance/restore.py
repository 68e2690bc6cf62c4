"""Restores manifests and run records from the index, which holds a second copy of most of them.

The index's Parquet files are read directly, so an index with a damaged log still helps. A row is used only if it can be
verified: its recipe must hash to the artifact's id, and the payload must have its digest.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice, product
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from editflow.storage.artifacts.identity import recipe_id
from editflow.storage.artifacts.manifest import Manifest, manifest_name
from editflow.storage.artifacts.payload_check import reencode_if_corrupt
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import ForeignFile
from editflow.storage.index.rows import SCHEMAS
from editflow.storage.json_records import as_record, record_json
from editflow.storage.records.runs import RunRecord, Runs

_ODD = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""Errors of a row that was not written from a record."""
_SHAPES = 2**12
"""Most shapes that a row's inputs are tried in: twelve roles of one id each, twice as many as any stage has."""


def manifest_from_index(lake: Lake, id_: str) -> Manifest | None:
    """An artifact's manifest from the index, without the SHA-256 of the payload's file; None if it is not in the
    index."""
    for row in _rows(lake, "artifacts", "id", id_):
        with contextlib.suppress(*_ODD):
            inputs = row.pop("inputs")
            decoded = {name: json.loads(row.pop(name)) for name in ("spec", "environment", "about")}
            for parents in islice(_shapes(inputs), _SHAPES):
                if recipe_id(row["kind"], row["version"], decoded["spec"], parents) == id_:
                    return as_record(Manifest, {**row, **decoded, "parents": parents, "sha256": ""})
    return None


def restore_manifest(lake: Lake, id_: str) -> bool:
    """Write a manifest again from the index; the damaged one is set aside. False where the artifact would not be valid.

    The digest in the index must be that of the existing payload.
    """
    found = manifest_from_index(lake, id_)
    return found is not None and write_manifest(lake, found)


def write_manifest(lake: Lake, copy: Manifest) -> bool:
    """Write a manifest that was damaged or lost, from a copy of its fields; a damaged one is set aside.

    False, and nothing is done, unless the payload exists and has the copy's digest; its size and SHA-256
    are those it has now.
    """
    if lake.content_fault(copy) is not None:
        return False
    # Or a corrupt bit would be recorded as the right one.
    if not reencode_if_corrupt(lake.files, copy, write=True) and not reencode_if_corrupt(lake.files, copy, write=False):
        return False
    data = lake.files.buffer(copy.payload)
    whole = asdict(copy) | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    lake.files.set_aside(manifest_name(copy.id))
    with contextlib.suppress(FileExistsError):  # another process has just done the same
        lake.files.create(manifest_name(copy.id), record_json(whole))
    return True


def restore_record(lake: Lake, run: str) -> bool:
    """Write the damaged or lost files of a run's record again from the index; the damaged ones are set aside.

    False where the index does not know the run, or not its end.
    """
    rows = sorted(_rows(lake, "runs", "run_id", run), key=lambda row: row["finished_at"] is None)
    if not rows:
        return False
    known = Runs(lake.files)
    try:
        decoded = {name: json.loads(rows[0].pop(name)) for name in ("spec", "summary", "environment")}
        uses = {row["artifact"]: row for row in _rows(lake, "uses", "run_id", run)}
        whole = {**rows[0], **decoded, "process_started": 0.0, "uses": tuple(uses.values())}
        known.restore(as_record(RunRecord, whole))
    except _ODD:  # the index was not written from a record
        return False
    return known.get_or_damaged(run).status != "damaged"


def _shapes(inputs: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """The parents that a row's inputs may be: a role with one id may have been a list of one."""
    ids: dict[str, list[str]] = {}
    for one in inputs:
        ids.setdefault(one["role"], []).append(one["artifact"])
    choices = [[found[0], found] if len(found) == 1 else [found] for found in ids.values()]
    for chosen in product(*choices):
        yield dict(zip(ids, chosen, strict=True))


def _rows(lake: Lake, table: str, column: str, value: str) -> Iterator[dict[str, Any]]:
    """The rows of a table with a value, out of every file of it that can be read."""
    names = SCHEMAS[table].names
    for file in lake.files.list(f"catalog/{table}"):
        if file.endswith(".parquet"):
            with contextlib.suppress(pa.ArrowException, OSError, ForeignFile):
                path = lake.files.file_path(f"catalog/{table}/{file}")
                found = parquet.read_table(path, columns=names, filters=[(column, "=", value)], partitioning=None)
                yield from found.to_pylist()
