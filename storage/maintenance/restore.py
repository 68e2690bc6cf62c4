"""Restores manifests and run records from the index, which holds a second copy of most of them.

The index's Parquet files are read directly, so an index with a damaged log can still be used. A row is used only if it
can be verified: its recipe must hash to the artifact's id, and the payload must have its digest.
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

_INVALID_ROW = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""Errors of a row that was not written from a record."""
_MAX_PARENT_FORMS = 2**12
"""Limit of the combinations tried for a row's parents: enough for twelve roles, twice as many as any stage has."""


def manifest_from_index(lake: Lake, id_: str) -> Manifest | None:
    """An artifact's manifest from the index, without the payload's SHA-256; None if the index does not have it."""
    for row in _read_rows(lake, "artifacts", "id", id_):
        with contextlib.suppress(*_INVALID_ROW):
            inputs = row.pop("inputs")
            decoded = {name: json.loads(row.pop(name)) for name in ("spec", "environment", "about")}
            for parents in islice(_possible_parents(inputs), _MAX_PARENT_FORMS):
                if recipe_id(row["kind"], row["version"], decoded["spec"], parents) == id_:
                    return as_record(Manifest, {**row, **decoded, "parents": parents, "sha256": ""})
    return None


def restore_manifest(lake: Lake, id_: str) -> bool:
    """Rewrite a manifest from the index; a damaged one is set aside. False if the artifact would not be valid.

    The existing payload must have the digest in the index.
    """
    found = manifest_from_index(lake, id_)
    return found is not None and write_manifest(lake, found)


def write_manifest(lake: Lake, copy: Manifest) -> bool:
    """Write a lost or damaged manifest from a copy of its fields; a damaged one is set aside.

    Returns False and changes nothing unless the payload exists and has the copy's digest. Its size and SHA-256 are
    computed from the payload.
    """
    if lake.content_fault(copy) is not None:
        return False
    # Without this check, the SHA-256 of a corrupt file would be recorded as correct.
    if not reencode_if_corrupt(lake.files, copy, write=True) and not reencode_if_corrupt(lake.files, copy, write=False):
        return False
    data = lake.files.buffer(copy.payload)
    whole = asdict(copy) | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    lake.files.set_aside(manifest_name(copy.id))
    with contextlib.suppress(FileExistsError):  # another process has just written it
        lake.files.create(manifest_name(copy.id), record_json(whole))
    return True


def restore_record(lake: Lake, run: str) -> bool:
    """Rewrite the damaged or lost files of a run's record from the index; damaged ones are set aside.

    False if the index has no row of the run, or none of its end and that is needed.
    """
    rows = sorted(_read_rows(lake, "runs", "run_id", run), key=lambda row: row["finished_at"] is None)
    if not rows:
        return False
    known = Runs(lake.files)
    try:
        decoded = {name: json.loads(rows[0].pop(name)) for name in ("spec", "summary", "environment")}
        uses = {row["artifact"]: row for row in _read_rows(lake, "uses", "run_id", run)}
        whole = {**rows[0], **decoded, "process_started": 0.0, "uses": tuple(uses.values())}
        known.restore(as_record(RunRecord, whole))
    except _INVALID_ROW:
        return False
    return known.get_or_damaged(run).status != "damaged"


def _possible_parents(inputs: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """The parents that a row's inputs may encode: a role with one id may have held the id or a list of one id."""
    ids: dict[str, list[str]] = {}
    for one in inputs:
        ids.setdefault(one["role"], []).append(one["artifact"])
    choices = [[found[0], found] if len(found) == 1 else [found] for found in ids.values()]
    for chosen in product(*choices):
        yield dict(zip(ids, chosen, strict=True))


def _read_rows(lake: Lake, table: str, column: str, value: str) -> Iterator[dict[str, Any]]:
    """The rows of a table with a value in a column, from every readable file of the table."""
    names = SCHEMAS[table].names
    for file in lake.files.list(f"catalog/{table}"):
        if file.endswith(".parquet"):
            with contextlib.suppress(pa.ArrowException, OSError, ForeignFile):
                path = lake.files.file_path(f"catalog/{table}/{file}")
                found = parquet.read_table(path, columns=names, filters=[(column, "=", value)], partitioning=None)
                yield from found.to_pylist()
