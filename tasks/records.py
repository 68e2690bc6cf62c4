"""Records of a file, a URL or the hub, one at a time, each with the place where it stands."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any

import fsspec

from editing.errors import first_line
from tasks.documents import hub_parts
from tasks.errors import BadRecord, UnknownSource

Located = Iterator[tuple[str, Any]]


def read_records(source: str) -> Located:
    """(place, record) of a .jsonl, .json, .csv or .parquet file, at a path or URL, or of `hub:NAME[:CONFIG[:SPLIT]]`.

    One record is in memory at a time, but for a JSON array, which is read whole. Raises UnknownSource or BadRecord,
    each naming file and line or record.
    """
    if source.startswith("hub:"):
        yield from _from_hub(source)
        return
    readers = {".jsonl": _lines, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(PurePosixPath(source).suffix.lower(), _json)
    try:
        with fsspec.open(source, "rb") as file:
            yield from reader(file, source)
    except (FileNotFoundError, IsADirectoryError):
        raise UnknownSource(f"no request file {source}: give a .json, .jsonl, .csv or .parquet file") from None
    except UnicodeDecodeError as error:
        raise BadRecord(f"{source} cannot be read as UTF-8 text: {error}; save it as UTF-8") from None
    except (OSError, ValueError, ImportError) as error:
        raise BadRecord(f"{source} cannot be read: {first_line(error)}") from None


def _lines(file: IO[bytes], source: str) -> Located:
    # Bytes are split at line ends alone: text would also be cut at U+2028, which may stand inside a JSON string.
    for n, raw in enumerate(file, 1):
        where = f"{source}, line {n}"
        line = _text(raw, where, first=n == 1)
        if line.strip():
            yield where, _parse(line, where, "mend the line or remove it")


def _json(file: IO[bytes], source: str) -> Located:
    """A JSON array; a file that begins otherwise holds a record a line, whatever its name."""
    start = file.read(4096)
    file.seek(0)
    if not start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        yield from _lines(file, source)
        return
    text = _text(file.read(), source, first=True)
    for n, record in enumerate(_parse(text, source, "mend the array"), 1):
        yield f"{source}, record {n}", record


def _csv(file: IO[bytes], source: str) -> Located:
    lines = (_text(raw, f"{source}, line {n}", first=n == 1) for n, raw in enumerate(file, 1))
    try:
        for n, row in enumerate(csv.DictReader(lines, strict=True), 1):
            where = f"{source}, record {n}"
            if None in row or None in row.values():
                raise BadRecord(f"{where}: another number of fields than the first line names; quote what has commas")
            yield where, {name: _cell(value, where) for name, value in row.items() if value}
    except csv.Error as error:
        raise BadRecord(f"{source}: not CSV ({error}); quote texts that hold quotes or line ends") from None


def _cell(value: str, where: str) -> Any:
    """A cell's text; one that begins like a JSON list or object is read as that."""
    return _parse(value, where, "mend the cell") if value.startswith(("[", '{"')) else value


def _parquet(file: IO[bytes], source: str) -> Located:
    import pyarrow.parquet as pq

    n = 0
    for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
        for row in batch.to_pylist():
            n += 1
            yield f"{source}, record {n}", {name: value for name, value in row.items() if value is not None}


def _from_hub(source: str) -> Located:
    import datasets

    name, config, revision = hub_parts(source)
    config, _, split = config.partition(":")
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    rows = None
    try:
        rows = iter(datasets.load_dataset(
            name, config or None, split=split or "train", revision=revision or None, streaming=True,
        ))  # fmt: skip
        for n, row in enumerate(rows, 1):
            yield f"{source}, record {n}", {key: value for key, value in row.items() if value is not None}
    except (OSError, ValueError, TypeError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise BadRecord(f"{source} cannot be read: {first_line(error)}; check name, split and network") from None


def _text(raw: bytes, where: str, *, first: bool) -> str:
    try:
        return raw.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord(f"{where}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None


def _parse(text: str, where: str, remedy: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise BadRecord(f"{where}: nested too deeply; {remedy}") from None
    except ValueError as error:  # also a number of more digits than Python takes
        raise BadRecord(f"{where}: not JSON ({error}); {remedy}") from None
