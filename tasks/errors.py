"""Errors of stages and sources; each message is one line.

TaskError
├── UnknownSource    a model, corpus or request file that is missing or not yet downloaded
├── BadRecord        a record of a file that cannot be read
├── FetchFailed      a download that failed or has the wrong content
├── StateMismatch    a state whose replayed weights differ from the recorded ones
├── NothingToReport  a run without the record or artifacts that a report needs
├── NothingToCompare two runs without a common request
├── NoSuchRelease    a rollback to a release that does not exist
├── TooMuchToDraw    a lineage with more artifacts than a page can show
├── BadBundle        a file that is not an intact bundle of `editflow export-run`
└── ArtifactGone     a run with an artifact that is no longer in the lake
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from editflow.editing.errors import EditingError
from editflow.storage.address import redact_text

Item = TypeVar("Item")


class TaskError(Exception):
    """Base class. The message is one line for the user; secrets in addresses are removed from it."""

    def __init__(self, message: object = "") -> None:
        super().__init__(redact_text(str(message)))


def translate_errors(items: Iterable[Item], to_error: Callable[[Exception], TaskError]) -> Iterator[Item]:
    """The items of a library's iterator; `to_error` converts any exception of the library to ours.

    Libraries raise arbitrary exceptions for malicious files. Our own errors pass unchanged.
    """
    iterator = iter(items)
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            return
        except (TaskError, EditingError):
            raise
        except Exception as error:  # noqa: BLE001  (any class that a library has)
            raise to_error(error) from None
        yield item


class UnknownSource(TaskError):
    """A missing model, corpus or request file."""


def no_such_file(
    source: str, why: str = "", remedy: str = "give a path, a URL or hub:NAME:CONFIG:SPLIT"
) -> UnknownSource:
    """The error for a source that is missing or cannot be opened, with an optional reason and a remedy."""
    return UnknownSource(f"no file {source}{f' ({why})' if why else ''}: {remedy}")


class BadRecord(TaskError):
    """A record of a file that cannot be read."""


class FetchFailed(TaskError):
    """A download that failed or has the wrong content."""


class StateMismatch(TaskError):
    """A state whose replayed weights differ from the recorded ones."""


class NothingToReport(TaskError):
    """A run without the record or artifacts that a report needs."""

    def __init__(self, run: str, missing: str) -> None:
        super().__init__(
            f"run {run} has no {missing} to report: `editflow run` did not make it, or another version of it did"
        )


class NothingToCompare(TaskError):
    """Two runs without a common request."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"runs {one} and {other} edited no fact in common: choose runs with the same requests")


class ArtifactGone(TaskError):
    """A run with an artifact that is no longer in the lake."""

    def __init__(self, run: str, what: str) -> None:
        super().__init__(f"run {run}: {what.partition(';')[0]}; run its spec again to recreate what is missing")


class NoSuchRelease(TaskError):
    """A rollback to a release that does not exist."""

    def __init__(self, name: str, to: int | None, available: list[int]) -> None:
        choice = f"choose one of {', '.join(map(str, available))}" if available else "nothing was released yet"
        what = "no release before the current one" if to is None else f"no other release {to}"
        super().__init__(f"{name} has {what}: {choice}; `editflow releases {name}` lists them")


class TooMuchToDraw(TaskError):
    """A lineage with more artifacts than a page can show."""

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(
            f"{count:,} artifacts are more than the {limit:,} that a page can show: limit them with --to another "
            "artifact, choose the other direction, or use --json"
        )


class BadBundle(TaskError):
    """A file that is not an intact bundle of `editflow export-run`."""

    def __init__(self, file: object, why: str) -> None:
        super().__init__(
            f"{file} is not an intact bundle of `editflow export-run`: {why}; export the run again, or copy it again"
        )
