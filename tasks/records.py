"""Records one at a time from JSON lines, a JSON array, CSV, Parquet or the hub, each with the place where it stands."""

from __future__ import annotations

import csv
import json
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import IO, Any

import fsspec
import ijson

from editing.errors import first_line
from tasks.errors import BadRecord, UnknownSource

Located = tuple[str, Any]

DEEPEST = 100
"""Most levels of objects and lists in a record of an array; no data set of the field has ten."""
_REMEDY = "mend the line or remove it"


def read_records(source: str, split: str = "train") -> Iterator[Located]:
    """(place, record) of a source, in its order: a path or fsspec URL, or `hub:NAME[:CONFIG[:SPLIT]][@REVISION]`.

    A file is JSON lines or one JSON array in UTF-8, packed or not, or CSV or Parquet by its name. The hub's split is
    `split` where none is named. One record is in memory at a time. A number that the source
    itself gives a name (a class label) comes as that name.

    Raises UnknownSource for what is not there, BadRecord for what cannot be read; each names the place.
    """
    if source.startswith("hub:"):
        place, _, revision = source.removeprefix("hub:").partition("@")
        name, config, named = (*place.split(":"), "", "")[:3]
        if not name:
            raise UnknownSource(f"{source} names nothing: give a path, a URL or hub:NAME:CONFIG:SPLIT")
        options = {"path": name, "name": config or None, "split": named or split, "revision": revision or None}
        yield from _from_datasets(source, "the hub gave no such data", options)
    elif source.lower().endswith(".parquet"):
        _opened(source).close()  # or what is missing would be told as what is damaged
        yield from _from_datasets(source, "not Parquet", {"path": "parquet", "data_files": source, "split": "train"})
    else:
        is_csv = re.search(r"\.csv(\.\w+)?$", source.lower())
        is_array = not is_csv and _begins(source).startswith(b"[")
        form = _from_csv if is_csv else _from_array if is_array else _from_lines
        with _opened(source) as file:
            yield from form(source, file)


def _opened(source: str) -> IO[bytes]:
    """Raises UnknownSource."""
    try:
        return fsspec.open(source, "rb", compression="infer").open()  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001  (each file system of fsspec fails in its own way)
        missing = isinstance(error, FileNotFoundError | IsADirectoryError)
        why = "" if missing else f" ({first_line(error)})"
        raise UnknownSource(f"no file {source}{why}: give a path, a URL or hub:NAME:CONFIG:SPLIT") from None


def _begins(source: str) -> bytes:
    """The first bytes of a file that are neither a byte order mark nor space."""
    with _opened(source) as file, _readable(source):
        return file.read(1024).removeprefix(BOM_UTF8).lstrip()


def _from_lines(source: str, file: IO[bytes]) -> Iterator[Located]:
    for number, line in _lines(source, file):
        if line.strip():
            where = f"{source}, line {number}"
            yield where, _parsed(where, line)


def _from_array(source: str, file: IO[bytes]) -> Iterator[Located]:
    while (bracket := file.read(1)) not in {b"[", b""}:  # a byte order mark may stand before it
        pass
    rest = ijson.from_iter(chain([bracket], iter(partial(file.read, 1 << 16), b"")))
    number = 1
    try:
        with _readable(source):
            for record in _items(ijson.basic_parse(rest, use_float=True)):
                yield f"{source}, record {number}", record
                number += 1
    except RecursionError:
        raise BadRecord(f"{source}, record {number}: nested too deeply; {_REMEDY}") from None
    except ijson.JSONError as error:
        raise BadRecord(
            f"{source}, record {number}: not JSON ({first_line(error)}); mend it, or fetch the file again"
        ) from None


def _items(events: Iterator[tuple[str, Any]]) -> Iterator[Any]:
    """An array's items. ijson's own `items` takes memory by the square of the depth, for files that nest endlessly."""
    next(events)  # the array's bracket
    builder, depth = ijson.ObjectBuilder(), 0
    for event, value in events:
        depth += event.startswith("start_") - event.startswith("end_")
        if depth > DEEPEST:
            raise RecursionError
        if depth >= 0:  # below is the array's other bracket
            builder.event(event, value)
        if depth == 0:
            yield builder.value
            builder = ijson.ObjectBuilder()


def _from_csv(source: str, file: IO[bytes]) -> Iterator[Located]:
    """One record a row; empty cells are left out, and one that begins like a JSON list or object is read as that."""
    try:
        rows = csv.DictReader((line for _, line in _lines(source, file)), strict=True)
        names = rows.fieldnames or ()
        if twice := [name for n, name in enumerate(names) if name in names[:n]]:
            raise BadRecord(f"{source}: the first line names column {twice[0]!r} twice; give each its own name")
        for n, row in enumerate(rows, 1):
            where = f"{source}, record {n}"
            if None in row or None in row.values():
                raise BadRecord(f"{where}: another number of cells than the first line; quote texts that hold commas")
            yield where, {name: _cell(where, cell) for name, cell in row.items() if cell}
    except csv.Error as error:
        raise BadRecord(f"{source}: not CSV ({error}); quote texts that hold quotes or line ends") from None


def _cell(where: str, text: str) -> Any:
    return _parsed(where, text) if text.startswith(("[", '{"')) else text


def _lines(source: str, file: IO[bytes]) -> Iterator[tuple[int, str]]:
    """(number, line) without the byte order mark that a file may begin with."""
    number = 0
    try:
        with _readable(source):
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord(f"{source}, line {number}: not UTF-8 ({error.reason}); save the file as UTF-8") from None


@contextmanager
def _readable(source: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise BadRecord(f"{source}: cannot be read to its end ({first_line(error)}); fetch it again") from None


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise BadRecord(f"{where}: nested too deeply; {_REMEDY}") from None
    except ValueError as error:  # also a number of more digits than Python takes
        raise BadRecord(f"{where}: not JSON ({first_line(error)}); {_REMEDY}") from None


def _from_datasets(source: str, what: str, options: dict[str, Any]) -> Iterator[Located]:
    import datasets

    datasets.disable_progress_bars()
    # What it would log is in the exception, and the user gets one line.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        rows = datasets.load_dataset(**options, streaming=True)
        features = rows.features or {}
        names = {key: value.names for key, value in features.items() if isinstance(value, datasets.ClassLabel)}
        for number, row in enumerate(rows, 1):
            yield f"{source}, record {number}", {key: _named(value, names.get(key)) for key, value in row.items()}
    except BadRecord:
        raise
    except Exception as error:  # noqa: BLE001  (each format and hub fails in its own way)
        raise BadRecord(f"{source}: {what} ({first_line(error)}); check the name, config, split and file") from None


def _named(value: Any, names: list[str] | None) -> Any:
    """A class label's name; −1, which stands for none, stays."""
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value
