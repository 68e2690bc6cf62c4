"""editflow verify"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypedDict

from cyclopts import Parameter

from editflow.flows.cli.common.completers import run_names
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import counted, print_json, print_line, print_table
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.repair.repair import RecomputedRow
    from editflow.flows.repair.verify import Subject
    from editflow.storage.artifacts.check import Fault
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.maintenance.audit import Audit

MAX_ROWS = 50
"""Rows of a table; --json prints all."""

REMEDIES = {
    "artifact": "--repair restores or recomputes it",
    "record": "--repair restores it from the index",
    "index": "--rebuild writes the index again",
}


class FaultRow(TypedDict):
    """A fault: what it affects, its file, the remedy or its outcome, and whether it is repaired."""

    what: str
    wrong: str
    remedy: str
    file: str
    id: str
    mended: bool


def verify(
    what: Annotated[str | None, Parameter(completer=run_names)] = None,
    /,
    *,
    deep: Annotated[bool, Parameter(negative=(), help="Also recompute each artifact, and compare.")] = False,
    stage: Annotated[list[str] | None, Parameter(negative=(), help="With --deep, recompute only this stage or kind; "
                                                 "may be repeated.")] = None,
    repair: Annotated[bool, Parameter(negative=(), help="Repair what can be repaired.")] = False,
    rebuild: Annotated[bool, Parameter(negative=(), help="Write the index again from manifests and records.")] = False,
    download: Annotated[bool, Parameter(negative=(), help="With --deep or --repair, download files that records name "
                                        "on the hub or other hosts.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> int:  # fmt: skip
    """Check every byte of a lake, of an artifact and its upstream artifacts, or of a run and the artifacts it used.

    Payloads are compared with their digests, manifests with their ids, and the index with the lake. Run records,
    names, queues and releases are read. Each fault is a row that names the file.

    --deep recomputes each artifact from its recorded parents, in a separate lake. --repair sets broken files aside
    and replaces them: restored from the index, or recomputed if the result has the recorded digest. Then it writes
    the index again. The exit code is 1 if a fault remains.

    Parameters
    ----------
    what
        An artifact's id or a prefix of at least six digits; or a run's id or a unique prefix of it, the name of a spec
        (its latest run), or `last`. Default: the whole lake.
    """
    from editflow.flows.repair.verify import faults, parse_subject
    from editflow.storage.maintenance.audit import Audit

    if stage and not deep:
        raise UsageError("--stage selects what --deep recomputes: add --deep")
    store = open_lake(lake)
    subject, audit = parse_subject(store, what), Audit(store)
    found = list(faults(audit, subject))
    outcomes = _repair(store, found, repair=repair, rebuild=rebuild, download=download)
    recomputed = _recompute(store, subject, stage or [], download=download) if deep else []
    rows = [_fault_row(fault, outcomes.get(fault)) for fault in found]
    left = [fault for fault, row in zip(found, rows, strict=True) if not row["mended"]]
    if json:
        counts = {name: getattr(audit, name) for name in ("artifacts", "bytes", "runs", "names")}
        print_json({**counts, "faults": rows, "recomputed": recomputed})
    else:
        _print_faults(audit, rows)
        _print_recomputed(recomputed)
        _print_remedy(left, [] if what is None else [what], lake, repair=repair)
    return 1 if left or any(row["same"] is False for row in recomputed) else 0


def _repair(
    store: Lake, found: Sequence[Fault], *, repair: bool, rebuild: bool, download: bool
) -> dict[Fault, tuple[bool, str]]:
    """Repair faults according to the options; return {fault: (whether it was repaired, how or why not)}."""
    outcomes: dict[Fault, tuple[bool, str]] = {}
    if repair and any(fault.repair in {"artifact", "record"} for fault in found):
        from editflow.flows.orchestration import temporary_server

        temporary_server.prepare()
        from editflow.flows.repair.repair import repair_all

        for fault, done, how in repair_all(store, found, download=download):
            outcomes[fault] = done, how
            mark = "[green]repaired[/]    " if done else "[yellow]not repaired[/]"
            print_line(f"  {mark} {quoted(fault.what)}: {quoted(how)}")
    lost = [fault for fault, (done, _) in outcomes.items() if not done and fault.file.endswith("manifest.json")]
    if lost and not rebuild:
        how = f"it may hold the only copy of the manifest of {lost[0].what}: restore that first, or use --rebuild"
        return outcomes | {fault: (False, how) for fault in found if fault.repair == "index"}
    if rebuild or (repair and any(fault.repair in {"artifact", "index"} for fault in found)):
        from editflow.flows.repair.verify import rebuild_index

        outcomes |= rebuild_index(store, found)
    return outcomes


def _recompute(store: Lake, subject: Subject, stages: Sequence[str], *, download: bool) -> list[RecomputedRow]:
    """Recompute artifacts, print each result immediately, and return all results."""
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    from editflow.flows.repair.repair import recompute_all, select_artifacts

    labels = {True: "[green]same[/]     ", False: "[bold red]differs[/]  ", None: "[yellow]not done[/] "}
    rows = []
    for row in recompute_all(store, select_artifacts(store, subject, stages), download=download):
        seconds = "" if row["seconds"] is None else f" {row['seconds']:7.1f} s"
        print_line(f"  {labels[row['same']]} {quoted(row['stage']):26} [dim]{row['artifact'][:12]}[/]{seconds}")
        rows.append(row)
    return rows


def _print_faults(audit: Audit, rows: Sequence[FaultRow]) -> None:
    from rich.filesize import decimal

    if rows:
        more = f", the first {MAX_ROWS} of {len(rows)}; --json has all" if len(rows) > MAX_ROWS else ""
        print_table(rows[:MAX_ROWS], ["what", "wrong", "remedy", "file"], title=f"faults{more}")
    checked = [f"{decimal(audit.bytes)} in {counted(audit.artifacts, 'artifact')}, every byte read"]
    checked += [counted(n, what) for n, what in ((audit.runs, "run"), (audit.names, "name")) if n]
    repaired = sum(row["mended"] for row in rows)
    found = f"{counted(len(rows), 'fault')}{f', {repaired} repaired' if repaired else ''}"
    print_line(quoted(f"{'; '.join(checked)}: {found if rows else 'nothing is wrong'}"))


def _print_recomputed(rows: Sequence[RecomputedRow]) -> None:
    differing = [row for row in rows if row["same"] is False]
    failed = [row for row in rows if row["same"] is None]
    for title, some in (("recomputed with another result", differing), ("could not be recomputed", failed)):
        if some:
            table = [row | {"artifact": row["artifact"][:12]} for row in some[:MAX_ROWS]]
            print_table(table, ["stage", "artifact", "largest", "relative", "note"], title=title)
    explanations = {change["key"]: change for row in differing for change in row["explains"]}
    if explanations:
        print_table(
            list(explanations.values()), title="differences in the environment: one is recorded, other is current"
        )
    if rows:
        same = len(rows) - len(differing) - len(failed)
        print_line(f"{same} of {len(rows)} recomputed artifacts are the same, bit for bit")


def _print_remedy(left: Sequence[Fault], words: Sequence[str], lake: str | None, *, repair: bool) -> None:
    """Print what to do about the remaining faults; `repair`: --repair was given."""
    repairs = {fault.repair for fault in left}
    if repair and left:
        print_next("restore the missing and damaged files from a copy of the lake, and run it again")
    elif repairs & {"artifact", "record"}:
        print_next(
            f"{shell_command('verify', *words, '--repair', lake=lake)} to set broken files aside and replace them"
        )
    elif "index" in repairs:
        print_next(f"{shell_command('verify', '--rebuild', lake=lake)} to write the index again from the lake")
    elif left:
        print_next(left[0].remedy)
    else:
        print_next(f"{shell_command('runs', lake=lake)} for the runs of the lake")


def _fault_row(fault: Fault, outcome: tuple[bool, str] | None) -> FaultRow:
    """A fault as a row. Its remedy is the outcome of a repair, or the option to use."""
    repaired, how = outcome or (False, REMEDIES.get(fault.repair, fault.remedy))
    if outcome:
        how = f"repaired: {how}" if repaired else f"not repaired: {how}"
    return {
        "what": fault.what,
        "wrong": fault.wrong,
        "remedy": how,
        "file": fault.file,
        "id": fault.id,
        "mended": repaired,
    }
