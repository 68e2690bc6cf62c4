"""The registry of data set readers. The fields of a file's first record select the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from editflow.editing.errors import InvalidOption, InvalidRequest
from editflow.editing.requests import counterfact, flat, mquake, zsre
from editflow.editing.requests.fields import type_name
from editflow.editing.requests.record import EditRequest

Located = Iterator[tuple[str, EditRequest]]


@dataclass(frozen=True)
class Reader:
    """How a data set's records become requests.

    `recognises` says whether a record has the data set's fields; a reader that recognises none must be named. `merge`
    sees all requests of a file and may combine them.
    """

    name: str
    requests: Callable[[str, Mapping[str, Any]], Iterable[EditRequest]]
    recognises: Callable[[Mapping[str, Any]], bool]
    about: str
    merge: Callable[[Located], Located] = lambda located: located


READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader("counterfact", lambda where, record: [counterfact.request(where, record)],
               lambda record: isinstance(record.get("requested_rewrite"), Mapping), "CounterFact, MultiCounterFact"),
        Reader("mquake", mquake.requests, lambda record: isinstance(record.get("requested_rewrite"), list),
               "MQuAKE", mquake.merge_rewrites),
        Reader("zsre", lambda where, record: [zsre.request(where, record)],
               lambda record: {"src", "answers"} <= record.keys(), "zsRE of MEND, writing the right answer"),
        Reader("zsre-alt", lambda where, record: [zsre.alternative_request(where, record)],
               lambda _record: False, "zsRE of MEND, writing the made-up answer; only by its name"),
        Reader("flat", lambda where, record: [flat.request(where, record)], flat.has_flat_fields,
               "EasyEdit, KnowEdit, and tables with one column per field"),
    )
}  # fmt: skip


def read(records: Iterable[tuple[str, Any]], dataset: str | None = None) -> Located:
    """Turn (place, record) into (place, request), with the reader of `dataset` or of the first record.

    Raises InvalidRequest naming the place, and InvalidOption for an unknown name.
    """
    check_name(dataset)
    objects = ((where, as_object(where, record)) for where, record in records)
    first = next(objects, None)
    if first is None:
        return iter(())
    reader = reader_of(dataset, *first)
    everything = chain([first], objects)
    return reader.merge((where, request) for where, record in everything for request in reader.requests(where, record))


def check_name(dataset: str | None) -> None:
    """Raise InvalidOption unless the name is None or one of READERS."""
    if dataset is not None and dataset not in READERS:
        raise InvalidOption(f"unknown data set {dataset!r}: choose from {', '.join(READERS)}")


def reader_of(dataset: str | None, where: str, record: Mapping[str, Any]) -> Reader:
    """Return the reader of that name, or the one that recognises the record. Raises InvalidRequest if none does."""
    if dataset is not None:
        return READERS[dataset]
    reader = next((reader for reader in READERS.values() if reader.recognises(record)), None)
    if reader is None:
        has = ", ".join(map(str, record)) or "no fields"
        what = f"the fields match no data set of {', '.join(READERS)}; it has {has}"
        raise InvalidRequest(where, what, "a plain table has prompt, subject and target_new; see docs/requests.md")
    return reader


def as_object(where: str, record: Any) -> Mapping[str, Any]:
    """Return the record if it is an object. Raises InvalidRequest."""
    if not isinstance(record, Mapping):
        raise InvalidRequest(where, f"a record must be an object, not {type_name(record)}", "see docs/requests.md")
    return record
