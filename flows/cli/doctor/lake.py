"""Checks of the lake: whether it can be read and written, and whether its content is valid.

Packages are imported inside the checks, so that the doctor can report one that cannot be loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from editflow.flows.cli.doctor.finding import Finding, Place, listed, ok, problem, warning, write_error
from editflow.flows.console.next_steps import first_run, shell_command
from editflow.tasks.console.progress import bar

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake

CHOOSE_FOLDER = "choose another folder with --lake or EDITFLOW_LAKE, or make this one writable"


def lake(place: Place) -> Iterator[Finding]:
    """The folder, and its content if it is a lake."""
    folder = Path(place.lake).absolute()
    for needed in (folder, folder / "artifacts"):
        if needed.exists() and not needed.is_dir():
            yield problem("lake", f"{needed} is a file, not a folder", CHOOSE_FOLDER)
            return
    reason = write_error(folder)
    if not (folder / "artifacts").is_dir():
        if reason:
            yield problem("lake", f"none at {folder}, and none can be created: {reason}", CHOOSE_FOLDER)
        else:
            yield warning("lake", f"none at {folder} yet", first_run(place.lake))
        return
    os.listdir(folder / "artifacts")  # noqa: PTH208 - raises an error with the name of the folder
    if reason:
        yield problem("lake", f"{folder} can be read, but not written: {reason}", CHOOSE_FOLDER)
    else:
        yield ok("lake", f"{folder} can be read and written")
    from editflow.storage.artifacts.store import Lake

    store = Lake.open(folder, create=False)
    yield from strays(store)
    yield from artifacts(store, deep=place.deep)
    for check in CHECKS:
        yield from check(store)


def strays(store: Lake) -> Iterator[Finding]:
    """Files that do not belong to the lake, such as a link to another folder; no finding if there are none."""
    from editflow.storage.maintenance.audit import Audit

    for fault in Audit(store).check_foreign_files():
        yield problem("lake", f"{store.files.path(fault.file)} {fault.wrong}", fault.remedy)


def artifacts(store: Lake, *, deep: bool) -> Iterator[Finding]:
    """Manifests and payloads (with `deep`, every byte of them), and whether their parents exist."""
    from editflow.storage.maintenance.audit import Audit

    audit = Audit(store, deep=deep)
    ids = list(audit.ids())
    with bar("checking artifacts", len(ids), "artifacts") as advance:
        faults = list(audit.check_artifacts(ids, advance))
    found = f"{len(ids)} artifacts, {decimal(audit.bytes)}" + (", every byte read" if deep else "")
    broken = [f"{fault.what} {fault.wrong}" for fault in faults if not fault.lost]
    lost = [fault.id[:12] for fault in faults if fault.lost]
    remedy = f"{shell_command('verify', '--repair', lake=store.uri)} restores or recomputes missing and damaged ones"
    if broken:
        yield problem("artifacts", f"{found}; {len(broken)} of them damaged: {listed(broken)}", remedy)
    else:
        yield ok("artifacts", found if deep else f"{found}; `--deep` reads every byte")
    if lost:
        yield problem("lineage", f"{len(lost)} parents of other artifacts are gone: {listed(lost)}", remedy)
    else:
        yield ok("lineage", "the parents of every artifact exist")


def index(store: Lake) -> Iterator[Finding]:
    """The index that SQL reads. It can be written again from manifests and run records."""
    from editflow.storage.index.catalog import Catalog
    from editflow.storage.index.rows import SCHEMAS
    from editflow.storage.maintenance.index_audit import table_file_faults

    faults = [fault for table in SCHEMAS for fault in table_file_faults(store, table)]
    if faults:
        found = listed([f"{store.files.path(fault.file)} {fault.wrong}" for fault in faults])
        remedy = f"{shell_command('verify', '--rebuild', lake=store.uri)} writes it again; until then queries fail"
        yield problem("index", found, remedy)
        return
    missing = Catalog(store).missing()
    note = f"{len(missing.artifacts)} artifacts and {len(missing.runs)} runs are missing; the next query adds them"
    yield ok("index", note if missing else "complete")


def runs(store: Lake) -> Iterator[Finding]:
    """Run records, and runs whose process was killed."""
    from editflow.storage.records.runs import Runs

    records = list(Runs(store.files).all())
    for record in records:
        if record.status == "damaged":
            remedy = f"{shell_command('verify', '--repair', lake=store.uri)} restores it from the index, if it is there"
            yield problem("runs", f"{record.run_id}: {record.message}", remedy)
    completed = {r.name: r.started_at for r in records if r.status == "completed"}
    died = [r.run_id for r in records if r.status == "died" and r.started_at > completed.get(r.name, "")]
    counts = {status: sum(r.status == status for r in records) for status in sorted({r.status for r in records})}
    found = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
    if died:
        remedy = f"the same `editflow run` continues it; {shell_command('show', died[-1], lake=store.uri)} shows it"
        yield warning("runs", f"{found}; killed and not continued: {listed(died)}", remedy)
    else:
        yield ok("runs", found)


def names(store: Lake) -> Iterator[Finding]:
    """Names of specs, queues and releases: whether all can be read, and whether the states they refer to exist."""
    from editflow.storage.maintenance.audit import Audit
    from editflow.tasks.releases.queue_audit import queue_faults

    audit = Audit(store)
    found = [("names" if f.lost or f.file.startswith("refs/") else "queues", f) for f in audit.check_names()]
    found += [("queues", fault) for fault in queue_faults(audit)]
    for check, summary in (("names", _name_summary), ("queues", _queue_summary)):
        faults = [fault for about, fault in found if about == check]
        for fault in faults:
            remedy = fault.remedy or shell_command("verify", "--repair", lake=store.uri)
            yield problem(check, f"{fault.what}: {store.files.path(fault.file)} {fault.wrong}", remedy)
        if not faults:
            yield ok(check, summary(store))


def _name_summary(store: Lake) -> str:
    from editflow.storage.records.refs import Refs

    return f"{len(Refs(store.files).names())} specs have a state"


def _queue_summary(store: Lake) -> str:
    """The waiting requests and the release of each queue. Requires logs that can be read."""
    from editflow.storage.records.refs import Refs
    from editflow.tasks.releases.queue import Queue, pending

    queues = []
    for name in sorted({*Refs(store.files, "queues").names(), *Refs(store.files, "releases").names()}):
        queue = Queue(store.files, name)
        current = queue.state()
        queues.append(f"{name}: {len(pending(queue.entries(), current))} waiting, release {current.release}")
    return "; ".join(queues) or "none"


def leftovers(store: Lake) -> Iterator[Finding]:
    """Files that killed processes, damage and earlier versions have left. They are useless but harmless."""
    from editflow.storage.maintenance.orphans import prefect_results

    files: list[Path] = []
    for pattern in (".tmp-*", "*.discarded-*"):
        files += [path for path in Path(store.uri).rglob(pattern) if path.is_file()]
    unfinished = [id_ for id_ in store.ids() if not store.is_committed(id_)]
    size = sum(path.stat().st_size for path in files)
    conflicts, results = store.files.list("conflicts"), list(prefect_results(store))
    remedy = f"{shell_command('gc', '--delete', lake=store.uri)} removes what is safe to delete"
    if files or unfinished:
        found = f"{len(files)} temporary or discarded files, {decimal(size)}; {len(unfinished)} unfinished artifacts"
        yield warning("leftovers", found, remedy)
    for piece in results:
        found = f"unused results of Prefect from an earlier version: {store.files.path(piece.name)}"
        yield warning("leftovers", found, remedy)
    if conflicts:
        found = f"{len(conflicts)} recipes have given two contents: {store.files.path('conflicts')}"
        remedy = "check whether another machine or library is the cause; the first content is kept"
        yield warning("conflicts", found, remedy)
    if not (files or unfinished or conflicts or results):
        yield ok("leftovers", "none")


CHECKS: tuple[Callable[[Lake], Iterator[Finding]], ...] = (index, runs, names, leftovers)
