"""The registry of data sets that can be read; the format of a file is recognised by its first record's fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from editflow.editing.errors import InvalidOption, InvalidRequest
from editflow.editing.requests import counterfact, flat, mquake, zsre
from editflow.editing.requests.fields import called
from editflow.editing.requests.record import EditRequest

Located = Iterator[tuple[str, EditRequest]]


@dataclass(frozen=True)
class Reader:
    """A data set's shape: how a record becomes requests, and which fields identify it.

    `joins` may look at all requests together. One that no field identifies must be named.
    """

    name: str
    requests: Callable[[str, Mapping[str, Any]], Iterable[EditRequest]]
    recognises: Callable[[Mapping[str, Any]], bool]
    about: str
    joins: Callable[[Located], Located] = lambda found: found


READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader("counterfact", lambda where, record: [counterfact.request(where, record)],
               lambda record: isinstance(record.get("requested_rewrite"), Mapping), "CounterFact, MultiCounterFact"),
        Reader("mquake", mquake.requests, lambda record: isinstance(record.get("requested_rewrite"), list),
               "MQuAKE", mquake.joined),
        Reader("zsre", lambda where, record: [zsre.right_answer(where, record)],
               lambda record: {"src", "answers"} <= record.keys(), "zsRE of MEND, writing the right answer"),
        Reader("zsre-alt", lambda where, record: [zsre.alternative(where, record)],
               lambda _record: False, "zsRE of MEND, writing the made-up answer; only by its name"),
        Reader("flat", lambda where, record: [flat.request(where, record)], flat.has_flat_fields,
               "EasyEdit, KnowEdit, and tables with a column a field"),
    )
}  # fmt: skip


def read(records: Iterable[tuple[str, Any]], dataset: str | None = None) -> Located:
    """(where, request) of (where, record), by the reader of `dataset` or of the first record.

    Raises InvalidRequest naming the place, InvalidOption for an unknown name.
    """
    check_name(dataset)
    found = ((where, as_object(where, record)) for where, record in records)
    first = next(found, None)
    if first is None:
        return iter(())
    reader = reader_of(dataset, *first)
    everything = chain([first], found)
    return reader.joins((where, request) for where, record in everything for request in reader.requests(where, record))


def check_name(dataset: str | None) -> None:
    """Raise InvalidOption unless the name is None or one of READERS."""
    if dataset is not None and dataset not in READERS:
        raise InvalidOption(f"unknown data set {dataset!r}: choose from {', '.join(READERS)}")


def reader_of(dataset: str | None, where: str, record: Mapping[str, Any]) -> Reader:
    """The reader of that name, else the one whose shape the record has; raises InvalidRequest where none has."""
    if dataset is not None:
        return READERS[dataset]
    reader = next((reader for reader in READERS.values() if reader.recognises(record)), None)
    if reader is None:
        has = ", ".join(map(str, record)) or "no fields"
        what = f"the fields are those of no data set of {', '.join(READERS)}; it has {has}"
        raise InvalidRequest(where, what, "a plain table has prompt, subject and target_new; see docs/requests.md")
    return reader


def as_object(where: str, record: Any) -> Mapping[str, Any]:
    """The record, if it is an object; else InvalidRequest."""
    if not isinstance(record, Mapping):
        raise InvalidRequest(where, f"a record must be an object, not {called(record)}", "see docs/requests.md")
    return record
