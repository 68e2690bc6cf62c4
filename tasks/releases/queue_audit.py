"""Audit of the logs of queues and releases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from editflow.storage.artifacts.check import Fault
from editflow.storage.errors import DamagedRecord
from editflow.storage.json_records import is_id
from editflow.storage.maintenance.audit import Audit
from editflow.storage.records.refs import COPY, Refs
from editflow.tasks.releases.queue import Queue


def queue_faults(audit: Audit) -> Iterator[Fault]:
    """Invalid values of queues and missing released states; `Audit.check_names` reports unreadable files."""
    files = audit.lake.files
    for folder in ("queues", "releases"):
        for name in Refs(files, folder).names():
            if not any(Refs(files, folder).broken(name)):
                yield from _of(audit, folder, name)


def _of(audit: Audit, folder: str, name: str) -> Iterator[Fault]:
    queue = Queue(audit.lake.files, name)
    read: dict[str, Callable[[], object]] = {"queues": queue.entries, "releases": queue.events}
    try:
        read[folder]()
    except DamagedRecord as error:
        file = error.path.removeprefix(f"{audit.lake.files.root}/")
        yield Fault(file, f"{folder}/{name}", "says what no queue would", "hand", name, COPY)
        return
    for version, move in queue.events() if folder == "releases" else ():
        if move.state is not None and not is_id(move.state):
            file = Refs(audit.lake.files, folder).file(name, version)
            yield Fault(file, f"{folder}/{name}", "releases what is no id of a state", "hand", name, COPY)
        elif move.state is not None:
            yield from audit.check_exists(move.state, f"release {version} of {name} points to it")
