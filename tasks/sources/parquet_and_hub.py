"""Rows of Parquet files and of data sets on the hub; class labels are replaced by their names."""

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
from editflow.tasks.sources.download_limits import Refused, limit_rows
from editflow.tasks.sources.remote_files import open_place

_BATCH_ROWS = 100
_MAX_GROUP_BYTES = 2**32  # a row group is unpacked as a whole


def from_parquet(source: Address, place: str) -> Iterator[tuple[str, Any]]:
    """(place, row) of the file at `place`; errors name `source`. Raises BadRecord."""
    with open_place(place, source) as file:
        damaged = lambda error: BadRecord(f"{source}: not Parquet ({first_line(error)}); fetch it again")  # noqa: E731
        for number, row in enumerate(translate_errors(_rows(file, source), damaged), 1):
            yield f"{source}, record {number}", row


def _rows(file: IO[bytes], source: Address) -> Iterator[dict[str, Any]]:
    table = pq.ParquetFile(file)
    groups = (table.metadata.row_group(n) for n in range(table.metadata.num_row_groups))
    if any(group.total_byte_size > _MAX_GROUP_BYTES for group in groups):
        raise BadRecord(f"{source}: a row group of more than {_MAX_GROUP_BYTES >> 30} GiB; write smaller row groups")
    schema = table.schema_arrow
    if duplicates := [name for n, name in enumerate(schema.names) if name in schema.names[:n]]:
        raise BadRecord(f"{source}: two columns are called {duplicates[0]!r}; rename one")
    names = _label_names(schema)
    for batch in table.iter_batches(_BATCH_ROWS):
        for row in batch.to_pylist():
            yield _labelled(row, names)


def _label_names(schema: pa.Schema) -> dict[str, list[str]]:
    """{column: names of its class labels}, from the metadata of a file written by `datasets`.

    Does not use `datasets`, which parses the description of all columns and fails at an unknown type.
    """
    try:
        value = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):  # metadata of another program
        return {}
    for part in ("info", "features"):
        value = value.get(part) if isinstance(value, dict) else None
    features = value.items() if isinstance(value, dict) else ()
    found = {name: about.get("names") for name, about in features
             if isinstance(about, dict) and about.get("_type") == "ClassLabel"}  # fmt: skip
    return {
        name: labels
        for name, labels in found.items()
        if isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    }


def from_hub(source: Address, split: str) -> Iterator[tuple[str, Any]]:
    """(place, row) of `hub:NAME[:CONFIG[:SPLIT]][@REVISION]`; `split` is the default split.

    Raises UnknownSource if there is no name, BadRecord for every error of the hub.
    """
    place, _, revision = source.full.removeprefix("hub:").partition("@")
    name, config, named = (*place.split(":"), "", "")[:3]
    if not name:
        raise UnknownSource(f"{source} has no name: give a path, a URL or hub:NAME:CONFIG:SPLIT")
    import datasets
    import huggingface_hub

    datasets.disable_progress_bars()
    # The exception has what they would log; the user sees one line.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    huggingface_hub.logging.set_verbosity(logging.CRITICAL)
    try:
        rows = datasets.load_dataset(
            name, config or None, split=named or split, revision=revision or None, streaming=True
        )
        features = (rows.features or {}).items()
        names = {key: value.names for key, value in features if isinstance(value, datasets.ClassLabel)}
        for number, row in enumerate(limit_rows(rows), 1):
            yield f"{source}, record {number}", _labelled(row, names)
    except TaskError:
        raise
    except Refused as error:
        raise BadRecord(f"{source}: {error}") from None
    except Exception as error:  # noqa: BLE001  (the hub and the file formats raise many classes)
        what = f"the hub has no such data ({source.without_secrets(first_line(error))})"
        raise BadRecord(f"{source}: {what}; check the name, config, split and file") from None


def _labelled(row: Mapping[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    """The row with the names of class labels; −1 means no label and is kept."""

    def labelled(value: Any, labels: list[str] | None) -> Any:
        return labels[value] if labels and isinstance(value, int) and 0 <= value < len(labels) else value

    return {key: labelled(value, names.get(key)) for key, value in row.items()}
