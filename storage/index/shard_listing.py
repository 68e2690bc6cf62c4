"""Artifacts added or removed since the last look: only changed folders are listed again.

An artifact's folder is in one of 256 shards. A shard's time changes whenever a folder is created in it or
removed from it. Users cannot set that time, while a copy of a lake keeps other times, whatever it left out or found
there. A time within the last seconds may hide a later change, so it is not trusted.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from editflow.storage.files import Files
from editflow.storage.json_records import is_id

Ids = npt.NDArray[np.bytes_]
"""Ids of 32 bytes each."""

MIN_AGE_NS = 2 * 10**9
"""Nanoseconds: file systems count time in steps of two seconds at most."""
_SHARDS = tuple(f"{n:02x}" for n in range(256))


@dataclass(frozen=True)
class ShardListing:
    """The content of the shards that had to be listed, by name, and the times for the next listing."""

    listed: Mapping[str, Ids]
    times: Mapping[str, int]


def list_shards(files: Files, times: Mapping[str, int]) -> ShardListing:
    """List the folders whose times do not rule out a change since.

    Cost: a stat of 256 folders, and a listing of those that have changed; on object storage of all.
    """
    before = time.time_ns() - MIN_AGE_NS
    now = _times(files)
    stale = [shard for shard, at in now.items() if at is None or times.get(shard) != at]
    trusted = {shard: at for shard, at in now.items() if at is not None and at < before}
    return ShardListing({shard: _ids(_names(files, shard), shard) for shard in stale}, trusted)


def change_time(files: Files, folder: str) -> int:
    """When names in a folder last changed, to be asked before these are listed; 0 where that is not known for sure."""
    at = _time(Path(files.folder_path(folder))) if files.local else None
    return at if at is not None and at < time.time_ns() - MIN_AGE_NS else 0


def new_and_removed(seen: ShardListing, known: Callable[[str], Ids]) -> tuple[list[str], list[str]]:
    """(ids with a folder that were not known, known ids without one); `known` are those of two first digits."""
    new, gone = list[str](), list[str]()
    for shard, there in seen.listed.items():
        held = known(shard)
        now, before = {*hexadecimal(_without(there, held))}, {*hexadecimal(_without(held, there))}
        new += sorted(now - before)
        gone += sorted(before - now)
    return new, gone


def _without(ids: Ids, others: Ids) -> Ids:
    """These ids without the others, perhaps with some of them: only the first eight bytes are compared."""
    if not len(others):
        return ids
    order = np.argsort(prefixes(others))
    at = order[np.minimum(np.searchsorted(prefixes(others), prefixes(ids), sorter=order), len(others) - 1)]
    unlike: npt.NDArray[np.bool_] = others[at] != ids
    return ids[unlike]


def hexadecimal(ids: Ids) -> list[str]:
    """The ids as text."""
    text = np.ascontiguousarray(ids).tobytes().hex()
    return [text[i : i + 64] for i in range(0, len(text), 64)]


def _ids(names: Sequence[str], shard: str) -> Ids:
    """Those of these names that are ids of a folder."""
    text = "".join(names)
    with contextlib.suppress(ValueError):
        whole = bytes.fromhex(text)
        if len(text) == 64 * len(names) and whole.hex() == text:
            return np.frombuffer(whole, "S32")
    rest = [name for name in names if is_id(name) and name.startswith(shard)]
    return np.frombuffer(bytes.fromhex("".join(rest)), "S32")


def prefixes(ids: Ids) -> npt.NDArray[np.uint64]:
    """The first eight bytes as numbers in the same order: nearly all ids differ in them, and they compare fast."""
    return np.ascontiguousarray(ids).view(">u8")[::4].astype("u8")


def _names(files: Files, shard: str) -> list[str]:
    if not files.local:
        return files.list(f"artifacts/{shard}")
    try:
        return os.listdir(files.folder_path(f"artifacts/{shard}"))  # noqa: PTH208 - a million names, not in order
    except (FileNotFoundError, NotADirectoryError):
        return []


def _times(files: Files) -> dict[str, int | None]:
    """When each of the folders last changed; None where that is not known."""
    if not files.local:
        return dict.fromkeys(shard for shard in files.list("artifacts") if shard in _SHARDS)
    return {shard: _time(Path(files.folder_path(f"artifacts/{shard}"))) for shard in _SHARDS}


def _time(folder: Path) -> int | None:
    try:
        return folder.stat().st_ctime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None
