"""Edit requests: loaded from any source, and chosen by count and seed."""

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
    """The requests of a file, URL or hub data set in one of the shapes of editing/requests/readers.py, all checked.

    `references` names a source of texts about targets (relation, target, text), which go to the requests of that
    relation and new target. Raises UnknownSource, BadRecord or InvalidRequest; each names the file and the record.
    """
    requests = check_all(read(read_records(_address(source)), dataset))
    return _told(_any(requests, source), references)


def load_chosen(
    source: str | Path, dataset: str | None, references: str | None, count: int, seed: int
) -> list[EditRequest]:
    """The same as `choose(load_requests(…), count, seed, source)`, for files of millions of records.

    Only the chosen are held, and less than a hundred bytes of each record. The source is read twice: all records are
    checked, and then those that are alike are compared with each other. MQuAKE's cases are joined in memory.
    """
    met, total = HashCounts(), 0
    for where, request in read(read_records(_address(source)), dataset):
        check(request, where)
        total += 1
        for mark in request.unique_keys:
            met.add(mark)
    places = {index: n for n, index in enumerate(choose(_any(range(total), source), count, seed, source))}
    seen, chosen = DuplicateCheck(), dict[int, EditRequest]()
    for index, (where, request) in enumerate(read(read_records(_address(source)), dataset)):
        if (met.counts(request.unique_keys) > 1).any():  # only then is there another one to compare it with
            seen.add(where, request)
        if index in places:
            chosen[places[index]] = request
    return _told([request for _, request in sorted(chosen.items())], references)


def _address(source: str | Path) -> Address:
    return Address(source if isinstance(source, str) else str(source))


def _any(requests: Sequence[Item], source: str | Path) -> Sequence[Item]:
    if not requests:
        raise BadRecord(f"{source} holds no requests; give at least one record")
    return requests


def _told(requests: Sequence[EditRequest], references: str | None) -> list[EditRequest]:
    """The requests with the texts about their targets, from the source that holds these."""
    found = _references(references) if references else {}
    return [replace(r, references=(*r.references, *found.get((r.relation, r.target_new), ()))) for r in requests]


def _references(source: str) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for where, record in read_records(source):
        fields = [record.get(name) if isinstance(record, dict) else None for name in ("relation", "target", "text")]
        if not all(isinstance(field, str) for field in fields):
            raise BadRecord(f"{where}: needs the texts relation, target and text; write them, or drop the line")
        relation, target, text = map(str, fields)
        if half := next((field for field in (relation, target, text) if not is_encodable(field)), None):
            raise BadRecord(f"{where}: {half!r} holds half a character; write the whole one (a surrogate pair)")
        found.setdefault((relation, target), []).append(text)
    return found


def probes(requests: Sequence[EditRequest], count: int, seed: int) -> list[EditRequest]:
    """The first `count` that have neighbours, in the order shuffled by `seed`; fewer where there are not so many."""
    return [request for request in choose(requests, None, seed, "") if _has_neighbours(request)][:count]


def unprobed(requests: Sequence[EditRequest], count: int, seed: int) -> list[EditRequest]:
    """The requests, in their order, without those probes and without all others about the probes' subjects."""
    probed = {_subject(request) for request in probes(requests, count, seed)}
    return [request for request in requests if _subject(request) not in probed]


def _has_neighbours(request: EditRequest) -> bool:
    return bool(request.neighborhood_prompts and request.target_true)


def _subject(request: EditRequest) -> str:
    return " ".join(request.subject.split()).casefold()


def choose(requests: Sequence[Item], count: int | None, seed: int, path: str | Path) -> list[Item]:
    """The first `count` requests in an order shuffled by `seed`; a larger count only adds to the end."""
    if count is not None and count > len(requests):
        raise BadRecord(f"{path} holds {len(requests)} requests, {count} are asked for; lower requests.count")
    order = list(requests)
    random.Random(seed).shuffle(order)  # noqa: S311
    return order[:count]


def reordered(chosen: Sequence[EditRequest], seed: int | None) -> list[EditRequest]:
    """The same requests in an order that depends on nothing but them and the seed; as they are without one."""
    if seed is None:
        return list(chosen)
    order = sorted(chosen, key=lambda request: request.request_id)
    random.Random(seed).shuffle(order)  # noqa: S311
    return order
