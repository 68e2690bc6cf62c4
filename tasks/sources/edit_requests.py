"""Edit requests: loaded from any source, and selected by count and seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from editflow.editing.requests.hash_counts import HashCounts
from editflow.editing.requests.readers import read
from editflow.editing.requests.record import DuplicateCheck, EditRequest, check, check_all, is_encodable
from editflow.storage.address import Address
from editflow.tasks.errors import BadRecord
from editflow.tasks.sources.records import read_records

Item = TypeVar("Item")


def load_requests(source: str | Path, dataset: str | None = None, references: str | None = None) -> list[EditRequest]:
    """The checked requests of a file, URL or hub data set, in a format of editing/requests/readers.py.

    `references` is a source of texts about targets (relation, target, text); they are added to the requests with that
    relation and new target. Raises UnknownSource, BadRecord or InvalidRequest, which name the file and the record.
    """
    requests = check_all(read(read_records(_address(source)), dataset))
    return _add_references(_not_empty(requests, source), references)


def load_and_choose(
    source: str | Path, dataset: str | None, references: str | None, count: int, seed: int
) -> list[EditRequest]:
    """The same as `choose_requests(load_requests(…), count, seed, source)`, for files of millions of records.

    Keeps the chosen requests and less than a hundred bytes of each record in memory. Reads the source twice: first all
    records are checked, then possible duplicates are compared with each other. MQuAKE's cases are joined in memory.
    """
    counts, total = HashCounts(), 0
    for where, request in read(read_records(_address(source)), dataset):
        check(request, where)
        total += 1
        for mark in request.unique_keys:
            counts.add(mark)
    places = {
        index: n for n, index in enumerate(choose_requests(_not_empty(range(total), source), count, seed, source))
    }
    seen, chosen = DuplicateCheck(), dict[int, EditRequest]()
    for index, (where, request) in enumerate(read(read_records(_address(source)), dataset)):
        if (counts.counts(request.unique_keys) > 1).any():  # else it cannot be a duplicate
            seen.add(where, request)
        if index in places:
            chosen[places[index]] = request
    return _add_references([request for _, request in sorted(chosen.items())], references)


def _address(source: str | Path) -> Address:
    return Address(source if isinstance(source, str) else str(source))


def _not_empty(requests: Sequence[Item], source: str | Path) -> Sequence[Item]:
    if not requests:
        raise BadRecord(f"{source} holds no requests; give at least one record")
    return requests


def _add_references(requests: Sequence[EditRequest], references: str | None) -> list[EditRequest]:
    """The requests with the texts about their targets."""
    texts = _read_references(references) if references else {}
    return [replace(r, references=(*r.references, *texts.get((r.relation, r.target_new), ()))) for r in requests]


def _read_references(source: str) -> dict[tuple[str, str], list[str]]:
    """{(relation, target): texts} of a source."""
    found: dict[tuple[str, str], list[str]] = {}
    for where, record in read_records(source):
        fields = [record.get(name) if isinstance(record, dict) else None for name in ("relation", "target", "text")]
        if not all(isinstance(field, str) for field in fields):
            raise BadRecord(f"{where}: relation, target and text must be texts; add them, or remove the line")
        relation, target, text = map(str, fields)
        if half := next((field for field in (relation, target, text) if not is_encodable(field)), None):
            raise BadRecord(f"{where}: {half!r} holds half a character; write the whole one (a surrogate pair)")
        found.setdefault((relation, target), []).append(text)
    return found


def choose_probes(requests: Sequence[EditRequest], count: int, seed: int) -> list[EditRequest]:
    """At most `count` requests with neighbourhood prompts and a true target, in an order shuffled by `seed`."""
    return [r for r in _shuffled(requests, seed) if r.neighborhood_prompts and r.target_true][:count]


def without_probes(requests: Sequence[EditRequest], count: int, seed: int) -> list[EditRequest]:
    """The requests, in their order, without those about the subjects of the probes."""
    probed = {_subject(request) for request in choose_probes(requests, count, seed)}
    return [request for request in requests if _subject(request) not in probed]


def _subject(request: EditRequest) -> str:
    return " ".join(request.subject.split()).casefold()


def choose_requests(requests: Sequence[Item], count: int | None, seed: int, path: str | Path) -> list[Item]:
    """The first `count` requests in an order shuffled by `seed`, so a larger count only adds requests.

    Raises BadRecord, which names the `path`, if there are fewer.
    """
    if count is not None and count > len(requests):
        raise BadRecord(f"{path} holds {len(requests)} requests, but {count} are needed; lower requests.count")
    return _shuffled(requests, seed)[:count]


def reorder(chosen: Sequence[EditRequest], seed: int | None) -> list[EditRequest]:
    """The requests in an order that depends only on them and the seed; unchanged if the seed is None."""
    if seed is None:
        return list(chosen)
    return _shuffled(sorted(chosen, key=lambda request: request.request_id), seed)


def _shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    order = list(items)
    random.Random(seed).shuffle(order)  # noqa: S311
    return order
