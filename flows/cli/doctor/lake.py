"""Checks of the lake: can it be read and written, and is its content valid?

Packages are imported where they are used: one that cannot be loaded is for the doctor to tell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from editflow.flows.cli.doctor.finding import Finding, Place, listed, ok, problem, refusal, warning
from editflow.flows.console.next_steps import first_run, typed
from editflow.tasks.console.progress import bar

if TYPE_CHECKING:
    from editflow.storage.artifacts.check import Fault
    from editflow.storage.artifacts.store import Lake

ANOTHER = "choose another folder with --lake or EDITFLOW_LAKE, or make this one writable"


def lake(place: Place) -> Iterator[Finding]:
    """The folder, and everything in it if it is a lake."""
    folder = Path(place.lake).absolute()
    for needed in (folder, folder / "artifacts"):
        if needed.exists() and not needed.is_dir():
            yield problem("lake", f"{needed} is a file, not a folder", ANOTHER)
            return
    why = refusal(folder)
    if not (folder / "artifacts").is_dir():
        if why:
            yield problem("lake", f"none at {folder}, and none can be made: {why}", ANOTHER)
        else:
            yield warning("lake", f"none at {folder} yet", first_run(place.lake))
        return
    os.listdir(folder / "artifacts")  # noqa: PTH208 - what cannot be read is to fail here, with its name
    if why:
        yield problem("lake", f"{folder} can be read, but not written: {why}", ANOTHER)
    else:
        yield ok("lake", f"{folder} can be read and written")
    from editflow.storage.artifacts.store import Lake

    store = Lake.open(folder, create=False)
    yield from strays(store)
    yield from artifacts(store, deep=place.deep)
    for check in CHECKS:
        yield from check(store)


def strays(store: Lake) -> Iterator[Finding]:
    """What in the lake is not its own, such as a link that leads out of it; nothing is found where there is none."""
    from editflow.storage.maintenance.audit import Audit

    for fault in Audit(store).check_foreign_files():
        yield problem("lake", f"{store.files.path(fault.file)} {fault.wrong}", fault.remedy)


def artifacts(store: Lake, *, deep: bool) -> Iterator[Finding]:
    """Manifests and payloads, with `deep` every byte of these, and whether what they were made from is here."""
    from editflow.storage.maintenance.audit import Audit

    audit = Audit(store, deep=deep)
    ids = list(audit.ids())
    with bar("checking artifacts", len(ids), "artifacts") as advance:
        faults = list(audit.check_artifacts(ids, advance))
    found = f"{len(ids)} artifacts, {decimal(audit.bytes)}" + (", every byte read" if deep else "")
    broken = [f"{fault.what} {fault.wrong}" for fault in faults if not fault.lost]
    lost = [fault.id[:12] for fault in faults if fault.lost]
    remedy = f"{typed('verify', '--repair', lake=store.uri)} computes again what is missing or damaged"
    if broken:
        yield problem("artifacts", f"{found}; {len(broken)} of them unsound: {listed(broken)}", remedy)
    else:
        yield ok("artifacts", found if deep else f"{found}; `--deep` reads every byte")
    if lost:
        yield problem("lineage", f"{len(lost)} that others were made from are gone: {listed(lost)}", remedy)
    else:
        yield ok("lineage", "everything that an artifact was made from is here")


def index(store: Lake) -> Iterator[Finding]:
    """The index that SQL reads; manifests and run records are the truth, so none is lost with it."""
    from editflow.storage.index.catalog import Catalog
    from editflow.storage.index.rows import SCHEMAS
    from editflow.storage.maintenance.index_audit import table_file_faults

    faults = [fault for table in SCHEMAS for fault in table_file_faults(store, table)]
    if faults:
        found = listed([f"{store.files.path(fault.file)} {fault.wrong}" for fault in faults])
        remedy = f"{typed('verify', '--rebuild', lake=store.uri)} writes it again: until then no query is answered"
        yield problem("index", found, remedy)
        return
    lacking = Catalog(store).missing()
    note = f"lacks {len(lacking.artifacts)} artifacts and {len(lacking.runs)} runs, which questions add"
    yield ok("index", note if lacking else "complete")


def runs(store: Lake) -> Iterator[Finding]:
    """Run records, and runs whose process is gone without an end."""
    from editflow.storage.records.runs import Runs

    records = list(Runs(store.files).all())
    for record in records:
        if record.status == "damaged":
            remedy = f"{typed('verify', '--repair', lake=store.uri)} restores it from the index, if that knows it"
            yield problem("runs", f"{record.run_id}: {record.message}", remedy)
    made_good = {r.name: r.started_at for r in records if r.status == "completed"}
    died = [r.run_id for r in records if r.status == "died" and r.started_at > made_good.get(r.name, "")]
    counts = {status: sum(r.status == status for r in records) for status in sorted({r.status for r in records})}
    found = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
    if died:
        remedy = f"the same `editflow run` continues there; {typed('show', died[-1], lake=store.uri)} tells of it"
        yield warning("runs", f"{found}; not taken up again: {listed(died)}", remedy)
    else:
        yield ok("runs", found)


def names(store: Lake) -> Iterator[Finding]:
    """Names of specs, queues and releases: whether all can be read, and whether the states that they name are here."""
    from editflow.storage.maintenance.audit import Audit
    from editflow.tasks.releases.queue_audit import queue_faults

    audit = Audit(store)
    found = [("names" if f.lost or f.file.startswith("refs/") else "queues", f) for f in audit.check_names()]
    found += [("queues", fault) for fault in queue_faults(audit)]
    for check, whole in (("names", _named), ("queues", _waiting)):
        unsound = [fault for about, fault in found if about == check]
        yield from (_unsound(check, store, fault) for fault in unsound)
        if not unsound:
            yield ok(check, whole(store))


def _named(store: Lake) -> str:
    from editflow.storage.records.refs import Refs

    return f"{len(Refs(store.files).names())} specs have a state"


def _waiting(store: Lake) -> str:
    """What waits in each queue and what is served; only asked where all logs can be read."""
    from editflow.storage.records.refs import Refs
    from editflow.tasks.releases.queue import Queue, pending

    told = []
    for name in sorted({*Refs(store.files, "queues").names(), *Refs(store.files, "releases").names()}):
        found = Queue(store.files, name)
        current = found.state()
        told.append(f"{name}: {len(pending(found.entries(), current))} waiting, release {current.release}")
    return "; ".join(told) or "none"


def _unsound(check: str, store: Lake, fault: Fault) -> Finding:
    remedy = fault.remedy or typed("verify", "--repair", lake=store.uri)
    return problem(check, f"{fault.what}: {store.files.path(fault.file)} {fault.wrong}", remedy)


def leftovers(store: Lake) -> Iterator[Finding]:
    """What killed processes, damage and earlier versions have left: of no use to anybody, but not in the way."""
    from editflow.storage.maintenance.orphans import prefect_results as prefects

    litter: list[Path] = []
    for pattern in (".tmp-*", "*.discarded-*"):
        litter += [path for path in Path(store.uri).rglob(pattern) if path.is_file()]
    unfinished = [id_ for id_ in store.ids() if not store.is_committed(id_)]
    room = sum(path.stat().st_size for path in litter)
    conflicts, results = store.files.list("conflicts"), list(prefects(store))
    remedy = f"{typed('gc', '--delete', lake=store.uri)} removes what is safe to delete"
    if litter or unfinished:
        found = f"{len(litter)} temporary or discarded files, {decimal(room)}; {len(unfinished)} unfinished artifacts"
        yield warning("leftovers", found, remedy)
    for piece in results:
        found = f"results of Prefect from an earlier version, which nothing reads: {store.files.path(piece.name)}"
        yield warning("leftovers", found, remedy)
    if conflicts:
        where = store.files.path("conflicts")
        found = f"{len(conflicts)} recipes have given two contents: {where}"
        yield warning(
            "conflicts", found, "see whether another machine or library is behind it; the first content is kept"
        )
    if not (litter or unfinished or conflicts or results):
        yield ok("leftovers", "none")


CHECKS: tuple[Callable[[Lake], Iterator[Finding]], ...] = (index, runs, names, leftovers)
