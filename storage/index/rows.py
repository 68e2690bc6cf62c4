"""The tables of the index, and conversion of manifests and run records to their rows."""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from editflow.storage.artifacts.identity import parent_pairs
from editflow.storage.artifacts.store import Manifest
from editflow.storage.records.runs import RunRecord, Use

_TEXT, _I64, _F64 = pa.string(), pa.int64(), pa.float64()
_INPUTS = pa.list_(pa.struct([("role", _TEXT), ("artifact", _TEXT)]))

SCHEMAS: Mapping[str, pa.Schema] = {
    "artifacts": pa.schema([
        ("id", _TEXT), ("kind", _TEXT), ("version", _I64), ("spec", _TEXT), ("inputs", _INPUTS), ("digest", _TEXT),
        ("rows", _I64), ("bytes", _I64), ("created_at", _TEXT), ("created_by", _TEXT), ("seconds", _F64),
        ("environment", _TEXT), ("about", _TEXT),
    ]),
    "uses": pa.schema(
        [("run_id", _TEXT), ("artifact", _TEXT), ("stage", _TEXT), ("how", _TEXT), ("seconds", _F64)]
    ),
    "runs": pa.schema([
        ("run_id", _TEXT), ("name", _TEXT), ("status", _TEXT), ("started_at", _TEXT), ("finished_at", _TEXT),
        ("message", _TEXT), ("state", _TEXT), ("spec", _TEXT), ("spec_path", _TEXT), ("summary", _TEXT),
        ("environment", _TEXT), ("host", _TEXT), ("pid", _I64),
    ]),
}  # fmt: skip


def artifact_row(manifest: Manifest) -> dict[str, Any]:
    """A manifest as a row of the artifacts table."""
    row = {name: getattr(manifest, name) for name in SCHEMAS["artifacts"].names if name != "inputs"}
    for name in ("spec", "environment", "about"):
        row[name] = _text(row[name])
    inputs = [{"role": role, "artifact": parent} for role, parent in parent_pairs(manifest.parents)]
    return {**row, "inputs": inputs}


def run_row(record: RunRecord) -> dict[str, Any]:
    """A run record as a row of the runs table."""
    row = {name: getattr(record, name) for name in SCHEMAS["runs"].names}
    for name in ("spec", "summary", "environment"):
        row[name] = _text(row[name])
    return row | {"started_at": record.started_at or None}  # empty in a damaged record


def is_final(record: RunRecord) -> bool:
    """Whether a record lists everything that its run used; only the index has what a crashed run reused."""
    return record.finished_at is not None and record.status != "died"


def unrecorded_uses(
    records: Sequence[RunRecord], manifests: Iterable[Manifest], known: Container[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Rows of the uses table from these records, without the ``known`` (run id, artifact) pairs.

    A run that did not record its own end is found through the artifacts that it created; their kind is then given as
    the stage.
    """
    found = {(record.run_id, use.artifact): use for record in records for use in record.uses}
    final = {record.run_id for record in records if is_final(record)}
    for m in manifests:
        if m.created_by and m.created_by not in final:
            found.setdefault((m.created_by, m.id), Use(m.id, m.kind, "created", m.seconds))
    return [use_row(run_id, use) for (run_id, artifact), use in found.items() if (run_id, artifact) not in known]


def use_row(run_id: str, use: Use) -> dict[str, Any]:
    """A use as a row of the uses table."""
    return {"run_id": run_id, **asdict(use)}


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
