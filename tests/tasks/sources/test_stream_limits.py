"""Limits on streams of rows from the hub: their size, and the time spent waiting for them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from editflow.storage.address import Address
from editflow.tasks.errors import BadRecord, FetchFailed
from editflow.tasks.sources.corpus import read_documents
from editflow.tasks.sources.download_limits import SECONDS, SIZE, Refused, limit_rows
from editflow.tasks.sources.parquet_and_hub import from_hub


class Clock:
    """A clock that advances only explicitly."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made.monotonic)
    return made


def endless() -> Iterator[dict[str, str]]:
    return itertools.repeat({"text": "x" * 300_000})


def test_an_endless_stream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIZE, "1")
    taken = []
    with pytest.raises(Refused, match=f"more than 1 MiB.*{SIZE}"):
        for row in limit_rows(endless()):
            taken.append(len(row["text"]))  # noqa: PERF401  (keeps the rows before the error)
    assert taken == [300_000] * 3
    assert list(limit_rows(itertools.islice(endless(), 3))) == [*itertools.islice(endless(), 3)], (
        "a finite stream is not"
    )


def test_slow_streams_are_refused(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    def slow() -> Iterator[int]:
        for number in range(10):
            clock.now += 3
            yield number

    monkeypatch.setenv(SECONDS, "10")
    with pytest.raises(Refused, match=f"more than 10 s.*{SECONDS}"):
        list(limit_rows(slow()))


def test_time_spent_on_processing_rows_does_not_count(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setenv(SECONDS, "10")
    taken = []
    for number in limit_rows(range(10)):
        taken.append(number)
        clock.now += 3
    assert taken == [*range(10)]


@pytest.mark.parametrize("read", [read_documents, lambda source: from_hub(Address(source), "train")])
def test_streams_of_the_hub_are_limited(read: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """For documents and records; `datasets` opens an endless data set here."""
    import datasets

    class Stream:
        features = None

        def __iter__(self) -> Iterator[dict[str, str]]:
            return endless()

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: Stream())
    monkeypatch.setenv(SIZE, "1")
    assert callable(read)
    with pytest.raises(BadRecord, match=SIZE):
        list(read("hub:a/b"))
    monkeypatch.setenv(SIZE, "much")
    with pytest.raises(FetchFailed, match=SIZE):
        list(read("hub:a/b"))
