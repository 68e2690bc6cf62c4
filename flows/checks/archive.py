"""The lake: whether it can be read and written, and whether what it holds is sound.

Packages are imported where they are used: one that cannot be loaded is for the doctor to tell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from flows.checks.finding import Finding, Place, listed, ok, problem, refusal, warning
from flows.hints import first_run, typed
from storage.errors import DamagedPayload, DamagedRecord, StorageError
from tasks.progress import bar

if TYPE_CHECKING:
    from storage.store import Lake

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
    from storage.store import Lake

    store = Lake.open(folder, create=False)
    yield artifacts(store, deep=place.deep)
    for check in CHECKS:
        yield from check(store)


def artifacts(store: Lake, *, deep: bool) -> Finding:
    """Manifests and payloads; with `deep` every byte of these."""
    faults: dict[str, str] = {}
    ids = [id_ for id_ in store.ids() if store.is_committed(id_)]
    room = 0
    with bar("checking artifacts", len(ids), "artifacts") as advance:
        for id_ in ids:
            fault, held = _fault(store, id_, deep=deep)
            faults |= {id_: fault} if fault else {}
            room += held
            advance(1)
    found = f"{len(ids)} artifacts, {decimal(room)}" + (", every byte read" if deep else "")
    if not faults:
        return ok("artifacts", found if deep else f"{found}; `--deep` reads every byte")
    named = listed([f"{id_[:12]} {fault}" for id_, fault in faults.items()])
    remedy = "run the spec that made them again: what is missing or damaged is computed anew"
    return problem("artifacts", f"{found}; {len(faults)} of them unsound: {named}", remedy)


def _fault(store: Lake, id_: str, *, deep: bool) -> tuple[str, int]:
    """(what is wrong with an artifact, empty when all is well; bytes of its payload)."""
    from storage.identity import recipe_id

    try:
        made = store.manifest(id_)
        if recipe_id(made.kind, made.version, made.spec, made.parents) != id_:
            return "has the manifest of another recipe: delete its folder", 0
        if deep:
            fault = store.fault(id_)
            return (fault.reason if isinstance(fault, DamagedPayload) else "is gone" if fault else ""), made.bytes
        whole = store.find(id_) is not None
        return "" if whole else "has lost its payload, or a part of it", made.bytes
    except (StorageError, OSError, TypeError, ValueError, AttributeError, KeyError):
        return "has a damaged manifest", 0


def parents(store: Lake) -> Iterator[Finding]:
    """Whether everything that an artifact was made from is known."""
    from storage.identity import parent_pairs

    ids = {id_ for id_ in store.ids() if store.is_committed(id_)}
    lost: set[str] = set()
    for id_ in ids:
        try:
            lost |= {parent for _role, parent in parent_pairs(store.manifest(id_).parents)} - ids
        except (StorageError, TypeError, ValueError, AttributeError):
            continue  # `artifacts` has told of it
    if lost:
        found = f"{len(lost)} that others were made from are gone: {listed([id_[:12] for id_ in sorted(lost)])}"
        yield problem("lineage", found, "run the spec that made them again, or bring their folders back")
    else:
        yield ok("lineage", "everything that an artifact was made from is here")


def index(store: Lake) -> Iterator[Finding]:
    """The index that SQL reads; manifests and run records are the truth, so none is lost with it."""
    from storage.catalog import Catalog

    catalog = Catalog(store)
    for table, why in (faults := catalog.faults()).items():
        folder = store.files.path(f"catalog/{table}")
        yield problem("index", f"{folder} is damaged: {why}", f"delete {folder}: questions add what the index lacks")
    if faults:
        return
    lacking = catalog.missing()
    note = f"lacks {len(lacking.artifacts)} artifacts and {len(lacking.runs)} runs, which questions add"
    yield ok("index", note if lacking else "complete")


def runs(store: Lake) -> Iterator[Finding]:
    """Run records, and runs whose process is gone without an end."""
    from storage.runs import Runs

    records = list(Runs(store.files).all())
    for record in records:
        if record.status == "damaged":
            yield problem("runs", f"{record.run_id}: {record.message}", "restore the file, or remove the run's folder")
    made_good = {r.name: r.started_at for r in records if r.status == "completed"}
    died = [r.run_id for r in records if r.status == "died" and r.started_at > made_good.get(r.name, "")]
    counts = {status: sum(r.status == status for r in records) for status in sorted({r.status for r in records})}
    found = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none yet"
    if died:
        remedy = f"the same `editflow run` goes on from there; {typed('show', died[-1], lake=store.uri)} tells of it"
        yield warning("runs", f"{found}; not taken up again: {listed(died)}", remedy)
    else:
        yield ok("runs", found)


def names(store: Lake) -> Iterator[Finding]:
    """The names that stand for the states of specs."""
    from storage.refs import Refs

    refs = Refs(store.files)
    broken = []
    for name in refs.names():
        try:
            refs.get(name)
        except (DamagedRecord, ValueError) as error:
            broken.append(str(error))
    for why in broken:
        yield problem("names", why, "restore the file, or delete it to go back to the name's value before")
    if not broken:
        yield ok("names", f"{len(refs.names())} specs have a state")


def queues(store: Lake) -> Iterator[Finding]:
    """What waits and what is served: whether both logs can be read, and whether the served state is still there."""
    from storage.refs import Refs
    from tasks.queue import Queue, pending

    told = []
    for name in sorted({*Refs(store.files, "queues").names(), *Refs(store.files, "releases").names()}):
        found = Queue(store.files, name)
        try:
            entries, standing = found.entries(), found.standing()
        except (DamagedRecord, ValueError) as error:
            yield problem("queues", str(error), f"restore that file of queue {name} from a copy of the lake")
            continue
        if standing.state is not None and not store.is_committed(standing.state):
            gone = f"release {name} serves state {standing.state[:12]}, which is not in the lake"
            yield problem("queues", gone, f"bring it back, or {typed('rollback', name, lake=store.uri)}")
        told.append(f"{name}: {len(pending(entries, standing))} waiting, release {standing.release}")
    yield ok("queues", "; ".join(told) or "none")


def leftovers(store: Lake) -> Iterator[Finding]:
    """What killed processes and damage have left: of no use to anybody, but not in the way."""
    litter: list[Path] = []
    for pattern in (".tmp-*", "*.discarded-*"):
        litter += [path for path in Path(store.uri).rglob(pattern) if path.is_file()]
    unfinished = [id_ for id_ in store.ids() if not store.is_committed(id_)]
    room = sum(path.stat().st_size for path in litter)
    conflicts = store.files.list("conflicts")
    if litter or unfinished:
        found = f"{len(litter)} temporary or discarded files, {decimal(room)}; {len(unfinished)} unfinished artifacts"
        remedy = f"delete .tmp-* and *.discarded-* below {store.uri} while no run is going on, if you want the room"
        yield warning("leftovers", found, remedy)
    if conflicts:
        where = store.files.path("conflicts")
        found = f"{len(conflicts)} recipes have given two contents: {where}"
        yield warning(
            "conflicts", found, "see whether another machine or library is behind it; the first content is kept"
        )
    if not (litter or unfinished or conflicts):
        yield ok("leftovers", "none")


CHECKS: tuple[Callable[[Lake], Iterator[Finding]], ...] = (parents, index, runs, names, queues, leftovers)
