"""Finds artifacts that were added or removed since the last listing, by listing only changed folders.

The folder of an artifact is in one of 256 shards. The change time (ctime) of a shard changes whenever a folder is
created in it or removed from it. Programs cannot set the ctime, whereas copies of a lake preserve the modification time
even if their content differs. A change time within the last seconds may hide a later change, so it is not trusted.
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
"""Minimum age of a trusted change time in nanoseconds; file systems have a resolution of two seconds or better."""
_SHARDS = tuple(f"{n:02x}" for n in range(256))


@dataclass(frozen=True)
class ShardListing:
    """The ids in the shards that were listed, by shard, and the change times for the next listing."""

    listed: Mapping[str, Ids]
    times: Mapping[str, int]


def list_shards(files: Files, times: Mapping[str, int]) -> ShardListing:
    """List the shards that may have changed since `times`.

    Cost: a stat of 256 folders and a listing of the changed ones; on object storage, a listing of all.
    """
    limit = time.time_ns() - MIN_AGE_NS
    current = _times(files)
    stale = [shard for shard, changed in current.items() if changed is None or times.get(shard) != changed]
    trusted = {shard: changed for shard, changed in current.items() if changed is not None and changed < limit}
    return ShardListing({shard: _ids(_names(files, shard), shard) for shard in stale}, trusted)


def change_time(files: Files, folder: str) -> int:
    """The trusted change time of a folder, 0 if there is none. Call it before the folder is listed."""
    changed = _time(Path(files.folder_path(folder))) if files.local else None
    return changed if changed is not None and changed < time.time_ns() - MIN_AGE_NS else 0


def new_and_removed(listing: ShardListing, known: Callable[[str], Ids]) -> tuple[list[str], list[str]]:
    """(new ids, removed ids) of a listing; `known` returns the known ids of a shard."""
    new, removed = list[str](), list[str]()
    for shard, listed in listing.listed.items():
        before = known(shard)
        added, missing = {*hexadecimal(_without(listed, before))}, {*hexadecimal(_without(before, listed))}
        new += sorted(added - missing)
        removed += sorted(missing - added)
    return new, removed


def _without(ids: Ids, others: Ids) -> Ids:
    """These ids without the others; a few others may remain, because ids are looked up by their first eight bytes."""
    if not len(others):
        return ids
    order = np.argsort(prefixes(others))
    nearest = order[np.minimum(np.searchsorted(prefixes(others), prefixes(ids), sorter=order), len(others) - 1)]
    differs: npt.NDArray[np.bool_] = others[nearest] != ids
    return ids[differs]


def hexadecimal(ids: Ids) -> list[str]:
    """The ids as hexadecimal text."""
    text = np.ascontiguousarray(ids).tobytes().hex()
    return [text[i : i + 64] for i in range(0, len(text), 64)]


def _ids(names: Sequence[str], shard: str) -> Ids:
    """The names that are ids of a shard, as bytes."""
    text = "".join(names)
    with contextlib.suppress(ValueError):  # the fast path: all names are ids
        raw = bytes.fromhex(text)
        if len(text) == 64 * len(names) and raw.hex() == text:
            return np.frombuffer(raw, "S32")
    valid = [name for name in names if is_id(name) and name.startswith(shard)]
    return np.frombuffer(bytes.fromhex("".join(valid)), "S32")


def prefixes(ids: Ids) -> npt.NDArray[np.uint64]:
    """The first eight bytes as integers in the same order: they differ for nearly all ids and compare fast."""
    return np.ascontiguousarray(ids).view(">u8")[::4].astype("u8")


def _names(files: Files, shard: str) -> list[str]:
    if not files.local:
        return files.list(f"artifacts/{shard}")
    try:
        return os.listdir(files.folder_path(f"artifacts/{shard}"))  # noqa: PTH208 - a million names, unsorted
    except (FileNotFoundError, NotADirectoryError):
        return []


def _times(files: Files) -> dict[str, int | None]:
    """The change time of each shard in nanoseconds; None if it is unknown."""
    if not files.local:
        return dict.fromkeys(shard for shard in files.list("artifacts") if shard in _SHARDS)
    return {shard: _time(Path(files.folder_path(f"artifacts/{shard}"))) for shard in _SHARDS}


def _time(folder: Path) -> int | None:
    try:
        return folder.stat().st_ctime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None
