"""Check a lake: payloads by digest, recipes by id, records, names and the index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from editflow.flows.console.errors import UsageError
from editflow.storage.artifacts.check import Fault, foreign_fault, upstream
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import ForeignFile, UnknownArtifact
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.audit import Audit
from editflow.storage.maintenance.index_audit import index_faults
from editflow.storage.records.runs import Runs
from editflow.tasks.console.progress import bar, working
from editflow.tasks.releases.queue_audit import queue_faults


@dataclass(frozen=True)
class Subject:
    """What to verify: a run with its artifacts, an artifact with its ancestors, or the whole lake if both are None."""

    run: str | None = None
    artifact: str | None = None


def parse_subject(lake: Lake, text: str | None) -> Subject:
    """The subject that a word of the command line names. Raises UsageError.

    Unreadable runs and damaged artifacts are found too, since they are what is verified.
    """
    if text is None:
        return Subject()
    runs = [run for run in lake.files.list("runs") if run.startswith(text)] if text.strip() else []
    if text in runs:
        return Subject(run=text)
    artifact = None
    with suppress(UnknownArtifact):
        artifact = id_ if lake.is_committed(id_ := lake.resolve(text)) else None
    found = [*(f"run {run}" for run in runs), *([f"artifact {artifact[:12]}"] if artifact else [])]
    if len(found) > 1:
        raise UsageError(f"{text!r} is ambiguous: {', '.join(found[:3])}; give more characters")
    if not found:
        named = (r.run_id for r in Runs(lake.files).newest() if r.started_at and text in {"last", r.name})
        runs = [run for run in [next(named, None)] if run]
    if not (runs or artifact):
        raise UsageError(f"no run and no artifact {text!r} in {lake.uri}: `editflow runs` lists the runs")
    return Subject(run=runs[0] if runs else None, artifact=artifact)


def faults(audit: Audit, what: Subject) -> Iterator[Fault]:
    """Yield the faults of a subject."""
    lake, known = audit.lake, Runs(audit.lake.files)
    if what.run is not None:
        yield from audit.check_runs([what.run], lambda _: None)
        ids = list(dict.fromkeys(use.artifact for use in known.get_or_damaged(what.run).uses))
    elif what.artifact is not None:
        ids = list(upstream(lake, what.artifact))
    else:
        yield from _whole(audit)
        return
    with bar("verifying", len(ids), "artifacts") as advance:
        yield from audit.check_artifacts(filter(lake.is_committed, ids), advance)


def _whole(audit: Audit) -> Iterator[Fault]:
    with working("looking for foreign files"):
        yield from audit.check_foreign_files()
    for part in (_artifacts, _runs, Audit.check_names, queue_faults, _index):
        try:
            yield from part(audit)
        except ForeignFile as error:  # a foreign file that hides the lake's own
            yield foreign_fault(audit.lake, error, "the lake")


def _artifacts(audit: Audit) -> Iterator[Fault]:
    with working("counting artifacts"):
        count = sum(1 for _ in audit.ids())
    with bar("verifying", count, "artifacts") as advance:
        yield from audit.check_artifacts(audit.ids(), advance)


def _runs(audit: Audit) -> Iterator[Fault]:
    runs, files = Runs(audit.lake.files), audit.lake.files
    begun = runs.ids()
    lost = (run for run in files.list("runs") if not runs.is_started(run))
    with bar("verifying", len(begun), "runs") as advance:
        yield from audit.check_runs(chain(begun, lost), advance)


def _index(audit: Audit) -> Iterator[Fault]:
    with working("verifying the index"):
        yield from index_faults(audit.lake)


def rebuild_index(lake: Lake, found: Sequence[Fault]) -> dict[Fault, tuple[bool, str]]:
    """Rebuild the index; return {fault of the index: (whether it is repaired, outcome)}."""
    with working("rebuilding the index"):
        Catalog(lake).rebuild()
    damaged = [fault for fault in found if fault.repair == "index"]
    left = [fault.wrong for fault in index_faults(lake)] if damaged else []
    outcome = f"it was written again, and still {left[0]}" if left else "it was written again"
    return dict.fromkeys(damaged, (not left, outcome))
