"""Records one at a time from JSON lines, a JSON array, CSV, Parquet or the hub, each with its place."""

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
from editflow.tasks.sources.remote_files import local_copy, named, opened

Located = tuple[str, Any]

LONGEST = 2**24
"""Most bytes of a record; a fact has a thousand, and one longer than memory would end the machine."""

DEEPEST = 100
"""Most levels of objects and lists in a record of an array; no data set of the field has ten."""
_REMEDY = "fix the line or remove it"
_WHOLE = "write a record a line, or all of them as one array"


def read_records(source: str, split: str = "train") -> Iterator[Located]:
    """(place, record) of a source, in its order: a path or URL, or `hub:NAME[:CONFIG[:SPLIT]][@REVISION]`.

    A file is JSON lines or one JSON array in UTF-8, packed or not, or CSV or Parquet by its name. The hub's split is
    `split` where none is named. One record is in memory at a time. A number that the source
    itself gives a name (a class label) comes as that name.

    Raises UnknownSource for a missing source, BadRecord for an unreadable one; each names the place.
    """
    address = Address(source)
    if address.startswith("hub:"):
        from editflow.tasks.sources.parquet_and_hub import from_hub

        yield from from_hub(address, split)
        return
    with local_copy(address) as place:
        yield from _form(address, place)(address, place)


def _form(source: Address, place: str) -> Callable[[Address, str], Iterator[Located]]:
    """How the file is read: by its name, and where that says nothing by its first bytes."""
    name = named(place).lower()
    if name.endswith(".parquet"):
        from editflow.tasks.sources.parquet_and_hub import from_parquet

        return from_parquet
    if re.search(r"\.csv(\.\w+)?$", name):
        return _from_csv
    with opened(place, source) as file:
        first = next(_pieces(file, source), b"").removeprefix(BOM_UTF8).lstrip()
    return _from_array if first.startswith(b"[") else _from_lines


def _from_lines(source: Address, place: str) -> Iterator[Located]:
    for number, line in _lines(source, place):
        if line.strip():
            where = f"{source}, line {number}"
            yield where, _parsed(where, line, _WHOLE if number == 1 and line.lstrip().startswith("{") else _REMEDY)


def _from_array(source: Address, place: str) -> Iterator[Located]:
    done = 0

    def where() -> str:
        return f"{source}, record {done + 1}"

    def fault(error: Exception) -> BadRecord:
        return BadRecord(f"{where()}: {_unreadable(error)}")

    with opened(place, source) as file:
        events = ijson.basic_parse(ijson.from_iter(_array(file, source, where)), use_float=True)
        for record in _items(translate_errors(events, fault), where):
            yield where(), record
            done += 1


def _array(file: IO[bytes], source: Address, where: Callable[[], str]) -> Iterator[bytes]:
    """The file from its bracket on; not all of it where there is no end of a single record."""
    pieces = _pieces(file, source)
    first = next(pieces, b"")
    record, since = "", 0
    for piece in chain([first[max(0, first.find(b"[")) :]], pieces):  # a byte order mark may stand before it
        record, since = where(), since + len(piece) if where() == record else 0
        if since > LONGEST:
            raise BadRecord(f"{record}: longer than {LONGEST >> 20} MiB; {_REMEDY}")
        yield piece


def _unreadable(error: Exception) -> str:
    """What ijson says, whose messages are bytes that quote the file."""
    if isinstance(error, RecursionError):
        return f"nested too deeply; {_REMEDY}"
    said = error.args[0] if error.args else ""
    text = first_line(Exception(said.decode(errors="replace") if isinstance(said, bytes) else said))
    if isinstance(error, UnicodeDecodeError) or "UTF8" in text:
        return "not UTF-8 (invalid bytes); save the file as UTF-8"
    return f"not JSON ({text}); fix it, or fetch the file again"


def _items(events: Iterator[tuple[str, Any]], where: Callable[[], str]) -> Iterator[Any]:
    """An array's items. ijson's own `items` takes memory by the square of the depth, for files that nest endlessly."""
    next(events, None)  # the array's bracket
    builder, depth, seen = ijson.ObjectBuilder(), 0, list[set[str]]()
    for event, value in events:
        depth += event.startswith("start_") - event.startswith("end_")
        if depth > DEEPEST:
            raise BadRecord(f"{where()}: nested too deeply; {_REMEDY}")
        if event == "start_map":
            seen.append(set())
        elif event == "end_map":
            seen.pop()
        elif event == "map_key":
            if value in seen[-1]:
                raise BadRecord(f"{where()}: {_Twice(value)}")
            seen[-1].add(value)
        if depth >= 0:  # below is the array's other bracket
            builder.event(event, value)
        if depth == 0:
            yield builder.value
            builder = ijson.ObjectBuilder()


def _from_csv(source: Address, place: str) -> Iterator[Located]:
    """One record a row; empty cells are left out, and one that begins like a JSON list or object is read as that."""

    def fault(error: Exception) -> BadRecord:
        if "field larger than field limit" in str(error):
            remedy = "close the quote that a text before it opens, or shorten the text"
            return BadRecord(f"{source}: a cell of more than {csv.field_size_limit():,} characters; {remedy}")
        return BadRecord(f"{source}: not CSV ({first_line(error)}); quote texts that hold quotes or line ends")

    # The limit is the process's, and csv's own of 131,072 is less than a cell with a list of paraphrases may have.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    rows = csv.DictReader((line for _, line in _lines(source, place)), strict=True)
    for n, row in enumerate(translate_errors(rows, fault), 1):
        if n == 1:
            names = rows.fieldnames or ()
            if twice := [name for n, name in enumerate(names) if name in names[:n]]:
                raise BadRecord(f"{source}: the first line names column {twice[0]!r} twice; give each its own name")
        where = f"{source}, record {n}"
        if None in row or None in row.values():
            raise BadRecord(f"{where}: another number of cells than the first line; quote texts that hold commas")
        yield where, {name: _cell(where, cell) for name, cell in row.items() if cell}


def _cell(where: str, text: str) -> Any:
    return _parsed(where, text) if text.startswith(("[", '{"')) else text


def _lines(source: Address, place: str) -> Iterator[tuple[int, str]]:
    """(number, line) without the byte order mark that a file may begin with."""
    with opened(place, source) as file:
        lines = translate_errors(iter(lambda: file.readline(LONGEST + 1), b""), _cut_short(source))
        for number, line in enumerate(lines, 1):
            where = f"{source}, line {number}"
            if len(line) > LONGEST:
                raise BadRecord(f"{where}: longer than {LONGEST >> 20} MiB; {_WHOLE}")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise BadRecord(f"{where}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
            yield number, text


def _pieces(file: IO[bytes], source: Address) -> Iterator[bytes]:
    return translate_errors(iter(lambda: file.read(1 << 16), b""), _cut_short(source))


def _cut_short(source: Address) -> Callable[[Exception], BadRecord]:
    """What is wrong where the bytes themselves cannot be read: a file that is cut short, or packed in another way."""
    return lambda error: BadRecord(f"{source}: cannot be read to its end ({first_line(error)}); fetch it again")


class _Twice(ValueError):
    """A name that an object has twice, of which JSON's readers keep the last and drop the first unsaid."""

    def __init__(self, name: str) -> None:
        super().__init__(f"field {name!r} is there twice; keep one of the two")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for n, name in enumerate(names) if name in names[:n]))
    return made


def _parsed(where: str, text: str, remedy: str = _REMEDY) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise BadRecord(f"{where}: nested too deeply; {remedy}") from None
    except _Twice as twice:
        raise BadRecord(f"{where}: {twice}") from None
    except ValueError as error:  # also a number of more digits than Python takes
        raise BadRecord(f"{where}: not JSON ({first_line(error)}); {remedy}") from None
