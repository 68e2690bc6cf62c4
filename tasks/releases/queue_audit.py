"""Audit of the logs of queues and releases."""

from __future__ import annotations

from collections.abc import Iterator

from editflow.storage.artifacts.check import Fault
from editflow.storage.errors import DamagedRecord
from editflow.storage.json_records import is_id
from editflow.storage.maintenance.audit import Audit
from editflow.storage.records.refs import RESTORE_ADVICE, Refs
from editflow.tasks.releases.queue import Queue


def queue_faults(audit: Audit) -> Iterator[Fault]:
    """Invalid records of queues and releases, and lost released states; `check_names` reports unreadable files."""
    files = audit.lake.files
    for folder in ("queues", "releases"):
        for name in Refs(files, folder).names():
            if not any(Refs(files, folder).faults(name)):
                yield from _faults_of(audit, folder, name)


def _faults_of(audit: Audit, folder: str, name: str) -> Iterator[Fault]:
    queue = Queue(audit.lake.files, name)
    try:
        events = queue.events() if folder == "releases" else []
        if folder == "queues":
            queue.entries()
    except DamagedRecord as error:
        file = error.path.removeprefix(f"{audit.lake.files.root}/")
        yield Fault(file, f"{folder}/{name}", f"is not a valid record of {folder}", "hand", name, RESTORE_ADVICE)
        return
    for version, event in events:
        if event.state is not None and not is_id(event.state):
            file = Refs(audit.lake.files, folder).file(name, version)
            yield Fault(file, f"{folder}/{name}", "names a state that is not an id", "hand", name, RESTORE_ADVICE)
        elif event.state is not None:
            yield from audit.check_exists(event.state, f"release {version} of {name} points to it")
