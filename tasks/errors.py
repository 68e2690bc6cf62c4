"""Errors between the lake and the science; each message is one line.

TaskError
├── UnknownSource    a model, corpus or request file that is not there, or not yet fetched
├── BadRecord        a line of a file that cannot be read
├── FetchFailed      a download that did not come, or came with the wrong content
├── StateMismatch    a state that does not materialise to its recorded weights
├── NothingToReport  a run whose record or artifacts lack what a report shows
├── NothingToCompare two runs without a case in common
├── NoSuchRelease    a release to go back to that there never was
├── TooMuchToDraw    a lineage of more artifacts than a page can show
├── BadPack          a file that is no run packed by `editflow export-run`, or is not what was packed
└── ArtifactGone     a run one of whose artifacts is no longer in the lake
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from editflow.editing.errors import EditingError
from editflow.storage.address import redact_text

Item = TypeVar("Item")


class TaskError(Exception):
    """Base of the tree; the message is one line for the user, without secrets of addresses in it."""

    def __init__(self, message: object = "") -> None:
        super().__init__(redact_text(str(message)))


def foreign(items: Iterable[Item], fault: Callable[[Exception], TaskError]) -> Iterator[Item]:
    """The items of a library's iterator; `fault` turns any exception of it into our error.

    Libraries raise any exception on a file that was made to break them; our own errors pass.
    """
    found = iter(items)
    while True:
        try:
            item = next(found)
        except StopIteration:
            return
        except (TaskError, EditingError):
            raise
        except Exception as error:  # noqa: BLE001  (any class that a library has)
            raise fault(error) from None
        yield item


class UnknownSource(TaskError):
    """A model, corpus or request file that is not there."""


def no_such_file(
    source: str, why: str = "", remedy: str = "give a path, a URL or hub:NAME:CONFIG:SPLIT"
) -> UnknownSource:
    """The error of a source that is not there or is not read: which, perhaps why, and what to give."""
    return UnknownSource(f"no file {source}{f' ({why})' if why else ''}: {remedy}")


class BadRecord(TaskError):
    """A line of a file that cannot be read."""


class FetchFailed(TaskError):
    """A download that did not come, or came with the wrong content."""


class StateMismatch(TaskError):
    """A state that does not materialise to its recorded weights."""


class NothingToReport(TaskError):
    """A run's record or artifacts lack what a report shows."""

    def __init__(self, run: str, lack: str) -> None:
        super().__init__(f"run {run} has no {lack} to report: it was not made by `editflow run`, or by another version")


class NothingToCompare(TaskError):
    """Two runs without a case in common."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"runs {one} and {other} edited no fact in common: choose runs of the same requests")


class ArtifactGone(TaskError):
    """A run one of whose artifacts is no longer in the lake."""

    def __init__(self, run: str, what: str) -> None:
        super().__init__(f"run {run}: {what.partition(';')[0]}; run its spec again, which makes what is missing")


class NoSuchRelease(TaskError):
    """No such release to go back to."""

    def __init__(self, name: str, to: int | None, there: list[int]) -> None:
        known = f"choose one of {', '.join(map(str, there))}" if there else "nothing was released yet"
        what = "no release before the present one" if to is None else f"no other release {to}"
        super().__init__(f"{name} has {what}: {known}; `editflow releases {name}` lists them")


class TooMuchToDraw(TaskError):
    """A lineage of more artifacts than a page can show."""

    def __init__(self, count: int, most: int) -> None:
        super().__init__(
            f"{count:,} artifacts are more than the {most:,} that a page can show: ask for the way --to another "
            "artifact, for the other direction, or for --json"
        )


class BadBundle(TaskError):
    """A file that is no packed run, or does not hold what was packed."""

    def __init__(self, file: object, why: str) -> None:
        super().__init__(
            f"{file} is not a whole run of `editflow export-run`: {why}; pack the run again, or fetch it again"
        )
