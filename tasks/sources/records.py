"""Read records from JSON lines, a JSON array, CSV, Parquet or the hub, one at a time, each with its place."""

from __future__ import annotations

import csv
import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, Any

import ijson

from editflow.editing.errors import first_line
from editflow.storage.address import Address
from editflow.tasks.errors import BadRecord, translate_errors
from editflow.tasks.sources.remote_files import format_name, local_copy, open_place

Located = tuple[str, Any]

MAX_RECORD_BYTES = 2**24
"""A fact has about a thousand bytes; a record longer than the memory would crash the machine."""

MAX_DEPTH = 100
"""Maximum nesting of objects and lists in a record of an array; data sets of the field have less than ten levels."""
_FIX_LINE = "fix the line or remove it"
_FIX_LAYOUT = "write one record per line, or all records as one array"


def read_records(source: str, split: str = "train") -> Iterator[Located]:
    """(place, record) of a source, in its order: a path or URL, or `hub:NAME[:CONFIG[:SPLIT]][@REVISION]`.

    A file is JSON lines or one JSON array in UTF-8, compressed or not, or CSV or Parquet by its name. `split` is the
    default split on the hub. One record is in memory at a time. Class labels of the source are replaced by their names.

    Raises UnknownSource for a missing source, BadRecord for an unreadable one; both name the place.
    """
    address = Address(source)
    if address.startswith("hub:"):
        from editflow.tasks.sources.parquet_and_hub import from_hub

        yield from from_hub(address, split)
        return
    with local_copy(address) as place:
        yield from _reader(address, place)(address, place)


def _reader(source: Address, place: str) -> Callable[[Address, str], Iterator[Located]]:
    """The reader for a file: by its name, or else by its first bytes."""
    name = format_name(place).lower()
    if name.endswith(".parquet"):
        from editflow.tasks.sources.parquet_and_hub import from_parquet

        return from_parquet
    if re.search(r"\.csv(\.\w+)?$", name):
        return _from_csv
    with open_place(place, source) as file:
        first = next(_chunks(file, source), b"").removeprefix(BOM_UTF8).lstrip()
    return _from_array if first.startswith(b"[") else _from_lines


def _from_lines(source: Address, place: str) -> Iterator[Located]:
    for number, line in _lines(source, place):
        if line.strip():
            where = f"{source}, line {number}"
            yield (
                where,
                _parsed(where, line, _FIX_LAYOUT if number == 1 and line.lstrip().startswith("{") else _FIX_LINE),
            )


def _from_array(source: Address, place: str) -> Iterator[Located]:
    done = 0

    def where() -> str:
        return f"{source}, record {done + 1}"

    def unreadable(error: Exception) -> BadRecord:
        return BadRecord(f"{where()}: {_json_problem(error)}")

    with open_place(place, source) as file:
        events = ijson.basic_parse(ijson.from_iter(_array(file, source, where)), use_float=True)
        for record in _items(translate_errors(events, unreadable), where):
            yield where(), record
            done += 1


def _array(file: IO[bytes], source: Address, where: Callable[[], str]) -> Iterator[bytes]:
    """The bytes of the file from its first bracket. Raises BadRecord for a record that is too long."""
    chunks = _chunks(file, source)
    first = next(chunks, b"")
    record, size = "", 0
    for chunk in chain([first[max(0, first.find(b"[")) :]], chunks):  # skips a byte order mark
        record, size = where(), size + len(chunk) if where() == record else 0
        if size > MAX_RECORD_BYTES:
            raise BadRecord(f"{record}: longer than {MAX_RECORD_BYTES >> 20} MiB; {_FIX_LINE}")
        yield chunk


def _json_problem(error: Exception) -> str:
    """The problem and remedy for an error of ijson; its messages are bytes that quote the file."""
    if isinstance(error, RecursionError):
        return f"nested too deeply; {_FIX_LINE}"
    message = error.args[0] if error.args else ""
    text = first_line(Exception(message.decode(errors="replace") if isinstance(message, bytes) else message))
    if isinstance(error, UnicodeDecodeError) or "UTF8" in text:
        return "not UTF-8 (invalid bytes); save the file as UTF-8"
    return f"not JSON ({text}); fix it, or fetch the file again"


def _items(events: Iterator[tuple[str, Any]], where: Callable[[], str]) -> Iterator[Any]:
    """The items of an array. ijson's own `items` takes memory quadratic in the depth, so it needs a limit."""
    next(events, None)  # the opening bracket of the array
    builder, depth, seen = ijson.ObjectBuilder(), 0, list[set[str]]()
    for event, value in events:
        depth += event.startswith("start_") - event.startswith("end_")
        if depth > MAX_DEPTH:
            raise BadRecord(f"{where()}: nested too deeply; {_FIX_LINE}")
        if event == "start_map":
            seen.append(set())
        elif event == "end_map":
            seen.pop()
        elif event == "map_key":
            if value in seen[-1]:
                raise BadRecord(f"{where()}: {_DuplicateField(value)}")
            seen[-1].add(value)
        if depth >= 0:  # else it is the closing bracket of the array
            builder.event(event, value)
        if depth == 0:
            yield builder.value
            builder = ijson.ObjectBuilder()


def _from_csv(source: Address, place: str) -> Iterator[Located]:
    """One record per row. Empty cells are omitted; a cell that starts like a JSON list or object is parsed as JSON."""

    def unreadable(error: Exception) -> BadRecord:
        if "field larger than field limit" in str(error):
            remedy = "close an open quote, or shorten the text"
            return BadRecord(f"{source}: a cell of more than {csv.field_size_limit():,} characters; {remedy}")
        return BadRecord(f"{source}: not CSV ({first_line(error)}); quote texts that contain quotes or line ends")

    # The limit is global; a list of paraphrases may exceed the default of 131,072.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))
    rows = csv.DictReader((line for _, line in _lines(source, place)), strict=True)
    for n, row in enumerate(translate_errors(rows, unreadable), 1):
        if n == 1:
            names = rows.fieldnames or ()
            if duplicates := [name for n, name in enumerate(names) if name in names[:n]]:
                raise BadRecord(f"{source}: the first line has column {duplicates[0]!r} twice; rename one")
        where = f"{source}, record {n}"
        if None in row or None in row.values():
            raise BadRecord(
                f"{where}: its number of cells differs from the first line; quote texts that contain commas"
            )
        cells = {name: cell for name, cell in row.items() if cell}
        yield where, {n: _parsed(where, cell) if cell.startswith(("[", '{"')) else cell for n, cell in cells.items()}


def _lines(source: Address, place: str) -> Iterator[tuple[int, str]]:
    """(number, line) of a file, without a byte order mark."""
    with open_place(place, source) as file:
        lines = translate_errors(iter(lambda: file.readline(MAX_RECORD_BYTES + 1), b""), _incomplete(source))
        for number, line in enumerate(lines, 1):
            where = f"{source}, line {number}"
            if len(line) > MAX_RECORD_BYTES:
                raise BadRecord(f"{where}: longer than {MAX_RECORD_BYTES >> 20} MiB; {_FIX_LAYOUT}")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise BadRecord(f"{where}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
            yield number, text


def _chunks(file: IO[bytes], source: Address) -> Iterator[bytes]:
    return translate_errors(iter(lambda: file.read(1 << 16), b""), _incomplete(source))


def _incomplete(source: Address) -> Callable[[Exception], BadRecord]:
    """The error for bytes that cannot be read: a truncated file, or one with another compression."""
    return lambda error: BadRecord(f"{source}: cannot be read to its end ({first_line(error)}); fetch it again")


class _DuplicateField(ValueError):
    """A field that an object has twice; json would silently drop the first."""

    def __init__(self, name: str) -> None:
        super().__init__(f"field {name!r} occurs twice; remove one")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateField(next(name for n, name in enumerate(names) if name in names[:n]))
    return found


def _parsed(where: str, text: str, remedy: str = _FIX_LINE) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise BadRecord(f"{where}: nested too deeply; {remedy}") from None
    except _DuplicateField as error:
        raise BadRecord(f"{where}: {error}") from None
    except ValueError as error:  # also a number with too many digits for Python
        raise BadRecord(f"{where}: not JSON ({first_line(error)}); {remedy}") from None
