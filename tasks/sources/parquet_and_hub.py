"""Rows of Parquet files and of data sets on the hub, with the names of class labels."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from editflow.editing.errors import first_line
from editflow.storage.address import Address
from editflow.tasks.errors import BadRecord, TaskError, UnknownSource, translate_errors
from editflow.tasks.sources.download_limits import Refused, bounded
from editflow.tasks.sources.remote_files import opened

_ROWS = 100  # of Parquet that are in memory at a time
_GROUP = 2**32  # bytes of a row group, which is unpacked as a whole


def from_parquet(source: Address, place: str) -> Iterator[tuple[str, Any]]:
    """The rows of the file at `place`, which `source` names. Raises BadRecord."""
    with opened(place, source) as file:
        rows = translate_errors(_rows(file, source), lambda error: _damaged(source, error))
        for number, row in enumerate(rows, 1):
            yield f"{source}, record {number}", row


def _damaged(source: Address, error: Exception) -> BadRecord:
    return BadRecord(f"{source}: not Parquet ({first_line(error)}); fetch it again")


def _rows(file: IO[bytes], source: Address) -> Iterator[dict[str, Any]]:
    table = pq.ParquetFile(file)
    groups = (table.metadata.row_group(n) for n in range(table.metadata.num_row_groups))
    if any(group.total_byte_size > _GROUP for group in groups):
        raise BadRecord(f"{source}: a row group of more than {_GROUP >> 30} GiB; write it with smaller ones")
    schema = table.schema_arrow
    if twice := [name for n, name in enumerate(schema.names) if name in schema.names[:n]]:
        raise BadRecord(f"{source}: two columns are called {twice[0]!r}; give each its own name")
    names = _label_names(schema)
    for batch in table.iter_batches(_ROWS):
        for row in batch.to_pylist():
            yield _labelled(row, names)


def _label_names(schema: pa.Schema) -> dict[str, list[str]]:
    """{column: its class labels' names} where the `datasets` that wrote the file left them in it.

    Read here: `datasets` reads a file's whole description of its columns, and fails at an unknown word.
    """
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):  # the columns are complete without it
        return {}
    for part in ("info", "features"):
        said = said.get(part) if isinstance(said, dict) else None
    features = said.items() if isinstance(said, dict) else ()
    found = {name: about.get("names") for name, about in features
             if isinstance(about, dict) and about.get("_type") == "ClassLabel"}  # fmt: skip
    return {
        name: labels
        for name, labels in found.items()
        if isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    }


def from_hub(source: Address, split: str) -> Iterator[tuple[str, Any]]:
    """The rows of `hub:NAME[:CONFIG[:SPLIT]][@REVISION]`, in `split` unless it names one.

    Raises UnknownSource for no name, BadRecord for all that the hub refuses.
    """
    place, _, revision = source.whole.removeprefix("hub:").partition("@")
    name, config, named = (*place.split(":"), "", "")[:3]
    if not name:
        raise UnknownSource(f"{source} names nothing: give a path, a URL or hub:NAME:CONFIG:SPLIT")
    import datasets
    import huggingface_hub

    datasets.disable_progress_bars()
    # What they would log is in the exception, and the user gets one line.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    huggingface_hub.logging.set_verbosity(logging.CRITICAL)
    try:
        rows = datasets.load_dataset(
            name, config or None, split=named or split, revision=revision or None, streaming=True
        )
        names = _names(rows.features or {})
        for number, row in enumerate(bounded(rows), 1):
            yield f"{source}, record {number}", _labelled(row, names)
    except TaskError:
        raise
    except Refused as error:
        raise BadRecord(f"{source}: {error}") from None
    except Exception as error:  # noqa: BLE001  (each format and the hub fail in their own ways)
        what = f"the hub gave no such data ({source.without_secrets(first_line(error))})"
        raise BadRecord(f"{source}: {what}; check the name, config, split and file") from None


def _names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    import datasets

    return {key: value.names for key, value in features.items() if isinstance(value, datasets.ClassLabel)}


def _labelled(row: Mapping[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    """The row with class labels by their names; −1, which means none, stays."""
    return {key: _named(value, names.get(key)) for key, value in row.items()}


def _named(value: Any, names: list[str] | None) -> Any:
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value
