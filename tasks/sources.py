"""Files from anywhere: paths, URLs of every file system that fsspec knows, and http, of which a copy is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import fsspec

from editing.errors import first_line
from tasks.errors import UnknownSource
from tasks.scratch import temporary

PATIENCE = 60
"""Seconds that a server may be silent."""
_CHUNK = 1 << 20


@contextmanager
def at_hand(source: str) -> Iterator[str]:
    """Where a source can be read, as often as needed and from any place: itself, or a copy of what http serves.

    The copy goes when the block ends, and is called by its ending alone, by which forms and packing are told. A copy,
    since servers need not know ranges, and a file is read more than once. Raises UnknownSource.
    """
    if not source.lower().startswith(("http://", "https://")):
        yield source
        return
    with temporary("copy") as folder:
        copy = folder / f"copy{_ending(source)}"
        _download(source, copy)
        yield str(copy)


def opened(place: str, source: str) -> IO[bytes]:
    """A place for reading, unpacked by its ending. Raises UnknownSource, which names the source."""
    try:
        return fsspec.open(place, "rb", compression="infer").open()  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001  (each file system of fsspec fails in its own way)
        missing = isinstance(error, FileNotFoundError | IsADirectoryError)
        raise _unknown(source, "" if missing else first_line(error)) from None


def _ending(source: str) -> str:
    """`.jsonl.gz` of `https://host/facts.jsonl.gz?download=true`."""
    found = re.search(r"(\.\w{1,8}){1,2}\Z", urlsplit(source).path)
    return found[0] if found else ""


def _download(source: str, place: Path) -> None:
    import requests

    try:
        with requests.get(source, stream=True, timeout=PATIENCE) as answer, place.open("wb") as copy:
            answer.raise_for_status()
            copy.writelines(answer.iter_content(_CHUNK))
    except requests.RequestException as error:
        raise _unknown(source, first_line(error)) from None


def _unknown(source: str, why: str) -> UnknownSource:
    said = f" ({why})" if why else ""
    return UnknownSource(f"no file {source}{said}: give a path, a URL or hub:NAME:CONFIG:SPLIT")
