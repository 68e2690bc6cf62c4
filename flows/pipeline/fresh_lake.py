"""The lake of a rerun: a new folder, or one in which the same rerun was interrupted.

<lake>/repetition.json      the run being repeated, the process, and its environment; removed at the end
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from editflow.flows.console.errors import UsageError
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.artifacts.store import Lake
from editflow.storage.files import Files
from editflow.storage.records.runs import RunRecord
from editflow.tasks.environment import environment
from editflow.tasks.temporary_folders import Owner

MARK = "repetition.json"
_MAX_BYTES = 2**16
_REMEDY = "give --into a new folder"


@contextmanager
def fresh_lake(folder: Path, record: RunRecord, spec: RunSpec) -> Iterator[Lake]:
    """A lake for repeating a run under a spec. Raises UsageError for a folder that is used for anything else.

    An interrupted repetition of the same run is continued if versions and thread count are the same.
    """
    identity = _identity(record, spec)
    check_unused(folder)
    if (found := read_mark(folder)) is not None:
        _check_same(folder, found, identity)
    files = Files(folder)
    files.put(MARK, (json.dumps({**identity, "owner": vars(Owner.current())}, indent=1) + "\n").encode())
    yield Lake.open(folder)
    files.remove(MARK)


def check_unused(folder: Path) -> None:
    """Raise UsageError for a folder that contains anything except an unfinished repetition."""
    if is_another_lake(folder):
        raise UsageError(f"{folder} is already a lake, and its artifacts would be reused: {_REMEDY}")
    if read_mark(folder) is not None or not folder.is_dir():
        return
    others = sorted(p.name for p in folder.iterdir() if not p.name.startswith((MARK, ".")) and p.name != "lost+found")
    if others:
        raise UsageError(f"{folder} contains other files, such as {others[0]}: {_REMEDY}")


def is_another_lake(folder: Path) -> bool:
    """Whether a folder is a lake, and not that of an unfinished repetition."""
    return (folder / "artifacts").is_dir() and read_mark(folder) is None


def read_mark(folder: Path) -> Mapping[str, Any] | None:
    """The content of a folder's repetition.json; None if there is none or it is not readable."""
    path = folder / MARK
    with suppress(OSError, ValueError, RecursionError):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MAX_BYTES:
            found = json.loads(path.read_bytes())
            return found if isinstance(found, dict) else None
    return None


def _identity(record: RunRecord, spec: RunSpec) -> dict[str, Any]:
    """The run, and the settings that its numbers depend on."""
    digest = hashlib.sha256(json.dumps(asdict(record), sort_keys=True, default=str).encode()).hexdigest()
    made_with = environment(spec.model.device)
    threads = spec.threads or made_with["threads"]
    versions = {key: value for key, value in made_with.items() if key != "threads"}
    return {"run": record.run_id, "record": digest, "threads": threads, "environment": versions}


def _check_same(folder: Path, found: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raise UsageError unless the marked repetition has ended and is the same as this one."""
    owner = Owner.from_json(found.get("owner"))
    if owner is not None and owner != Owner.current() and not owner.is_gone:
        where = f"process {owner.pid} on {owner.host}"
        raise UsageError(f"{folder} is the lake of a repetition that is running ({where}): wait for it, or {_REMEDY}")
    if not any(Lake.open(folder).ids()):
        return
    if any(found.get(key) != identity[key] for key in ("run", "record")):
        raise UsageError(f"{folder} is the lake of another run's unfinished repetition: {_REMEDY}")
    other = next((key for key in ("threads", "environment") if found.get(key) != identity[key]), None)
    if other is not None:
        what = "on another number of threads" if other == "threads" else "with other versions"
        raise UsageError(f"{folder} is the lake of a repetition that began {what}: {_REMEDY}")
