"""The lake of a repetition: a new folder, or one in which the same repetition was interrupted.

<lake>/repetition.json      whose repetition is running here, by which process, with what; removed at its end
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
_LARGEST = 2**16
_ANOTHER = "give --into a new folder"


@contextmanager
def fresh_lake(folder: Path, record: RunRecord, spec: RunSpec) -> Iterator[Lake]:
    """A lake for a run's repetition under a spec. Raises UsageError where one is that the repetition did not begin.

    One that it began, and that was killed or failed, is continued: its artifacts were made by the same versions and
    on as many threads.
    """
    told = _told(record, spec)
    refuse_taken(folder)
    if (found := mark_repetition(folder)) is not None:
        _check(folder, found, told)
    files = Files(folder)
    files.put(MARK, (json.dumps({**told, "owner": vars(Owner.current())}, indent=1) + "\n").encode())
    yield Lake.open(folder)
    files.remove(MARK)


def refuse_taken(folder: Path) -> None:
    """Raise UsageError for a folder that holds anything but an unfinished repetition."""
    if is_another_lake(folder):
        raise UsageError(f"{folder} is a lake already, whose artifacts would be reused: {_ANOTHER}")
    if mark_repetition(folder) is not None or not folder.is_dir():
        return
    others = sorted(p.name for p in folder.iterdir() if not p.name.startswith((MARK, ".")) and p.name != "lost+found")
    if others:
        raise UsageError(f"{folder} holds other files, such as {others[0]}: {_ANOTHER}")


def is_another_lake(folder: Path) -> bool:
    """Whether a folder is a lake, and none that an unfinished repetition began."""
    return (folder / "artifacts").is_dir() and mark_repetition(folder) is None


def mark_repetition(folder: Path) -> Mapping[str, Any] | None:
    """What the mark of a repetition says that was begun in a folder; None where there is none that can be read."""
    path = folder / MARK
    with suppress(OSError, ValueError, RecursionError):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
            found = json.loads(path.read_bytes())
            return found if isinstance(found, dict) else None
    return None


def _told(record: RunRecord, spec: RunSpec) -> dict[str, Any]:
    """The run, and what its repetition's numbers depend on."""
    whole = hashlib.sha256(json.dumps(asdict(record), sort_keys=True, default=str).encode()).hexdigest()
    made_with = environment(spec.model.device)
    threads = spec.threads or made_with["threads"]
    versions = {key: value for key, value in made_with.items() if key != "threads"}
    return {"run": record.run_id, "record": whole, "threads": threads, "environment": versions}


def _check(folder: Path, found: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    owner = Owner.from_json(found.get("owner"))
    if owner is not None and owner != Owner.current() and not owner.is_gone:
        where = f"process {owner.pid} on {owner.host}"
        raise UsageError(f"{folder} is the lake of a repetition that is running ({where}): wait for it, or {_ANOTHER}")
    if not any(Lake.open(folder).ids()):
        return
    if any(found.get(key) != told[key] for key in ("run", "record")):
        raise UsageError(f"{folder} is the lake of another run's unfinished repetition: {_ANOTHER}")
    other = next((key for key in ("threads", "environment") if found.get(key) != told[key]), None)
    if other is not None:
        what = "on another number of threads" if other == "threads" else "with other versions"
        raise UsageError(f"{folder} is the lake of a repetition that was begun {what}: {_ANOTHER}")
