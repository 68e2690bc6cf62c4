"""Rows of Parquet files and of the hub, whose columns may give the names of their labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from editing.errors import first_line
from tasks.errors import BadRecord, UnknownSource
from tasks.sources import opened

_ROWS = 100  # of Parquet that are in memory at a time


def from_parquet(source: str, place: str) -> Iterator[tuple[str, Any]]:
    """The rows of the file at `place`, which `source` names. Raises BadRecord."""
    number = 0
    try:
        with opened(place, source) as file:
            table = pq.ParquetFile(file)
            names = _label_names(table.schema_arrow)
            for batch in table.iter_batches(_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{source}, record {number}", _labelled(row, names)
    except (pa.ArrowException, OSError) as error:
        raise BadRecord(f"{source}: not Parquet ({first_line(error)}); fetch it again") from None


def _label_names(schema: pa.Schema) -> dict[str, list[str]]:
    """{column: its class labels' names} where the `datasets` that wrote the file left them in it."""
    if b"huggingface" not in (schema.metadata or {}):
        return {}
    import datasets

    return _names(datasets.Features.from_arrow_schema(schema))


def from_hub(source: str, split: str) -> Iterator[tuple[str, Any]]:
    """The rows of `hub:NAME[:CONFIG[:SPLIT]][@REVISION]`, in `split` unless it names one.

    Raises UnknownSource for no name, BadRecord for all that the hub refuses.
    """
    import datasets
    import huggingface_hub

    datasets.disable_progress_bars()
    # What they would log is in the exception, and the user gets one line.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    huggingface_hub.logging.set_verbosity(logging.CRITICAL)
    place, _, revision = source.removeprefix("hub:").partition("@")
    name, config, named = (*place.split(":"), "", "")[:3]
    if not name:
        raise UnknownSource(f"{source} names nothing: give a path, a URL or hub:NAME:CONFIG:SPLIT")
    try:
        rows = datasets.load_dataset(
            name, config or None, split=named or split, revision=revision or None, streaming=True
        )
        names = _names(rows.features or {})
        for number, row in enumerate(rows, 1):
            yield f"{source}, record {number}", _labelled(row, names)
    except BadRecord:
        raise
    except Exception as error:  # noqa: BLE001  (each format and the hub fail in their own ways)
        what = f"the hub gave no such data ({first_line(error)})"
        raise BadRecord(f"{source}: {what}; check the name, config, split and file") from None


def _names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    import datasets

    return {key: value.names for key, value in features.items() if isinstance(value, datasets.ClassLabel)}


def _labelled(row: Mapping[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    """The row with class labels by their names; −1, which stands for none, stays."""
    return {key: _named(value, names.get(key)) for key, value in row.items()}


def _named(value: Any, names: list[str] | None) -> Any:
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value
