"""editflow verify"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from editflow.flows.cli.common.completers import run_names
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import counted, print_json, print_line, print_table
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.repair.repair import RecomputedRow
    from editflow.flows.repair.verify import Subject
    from editflow.storage.artifacts.check import Fault
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.maintenance.audit import Audit

MOST = 50
"""Rows of a table; JSON has all."""

REMEDIES = {
    "artifact": "--repair restores it, or computes it again",
    "record": "--repair restores it from the index",
    "index": "--rebuild writes the index again",
}
Row = dict[str, Any]


def verify(
    what: Annotated[str | None, Parameter(completer=run_names)] = None,
    /,
    *,
    deep: Annotated[bool, Parameter(negative=(), help="Also compute it again, and compare.")] = False,
    stage: Annotated[list[str] | None, Parameter(negative=(), help="With --deep, only this stage or kind; may be "
                                                 "repeated.")] = None,
    repair: Annotated[bool, Parameter(negative=(), help="Repair what can be repaired.")] = False,
    rebuild: Annotated[bool, Parameter(negative=(), help="Write the index again from manifests and records.")] = False,
    download: Annotated[bool, Parameter(negative=(), help="With --deep or --repair, fetch what records name "
                                        "elsewhere.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> int:  # fmt: skip
    """Check every byte of a lake, an artifact with all that it was made from, or a run with all that it used.

    Payloads are compared with their digests, manifests with their ids, the index with the lake; run records,
    names, queues and releases are read. Each fault is a row that names the file. --deep computes each artifact again
    from its recorded parents, in a lake of its own. --repair sets aside what is broken and puts the same in its place,
    restored from the index or computed again with the digest that it had; then it writes the index again. The exit code
    is 1 if something is wrong and not repaired.

    Parameters
    ----------
    what
        An artifact's id or the first six or more digits of it; or a run's id, the start of one, the name of a spec (its
        latest run), or `last`. Without it, everything.
    """
    from editflow.flows.repair.verify import faults, parse_subject
    from editflow.storage.maintenance.audit import Audit

    if stage and not deep:
        raise UsageError("--stage says what --deep computes again: add --deep")
    store = open_lake(lake)
    chosen, audit = parse_subject(store, what), Audit(store)
    found = list(faults(audit, chosen))
    outcomes = _repair(store, found, repair=repair, rebuild=rebuild, download=download)
    again = _again(store, chosen, stage or [], download=download) if deep else []
    rows = [_row(fault, outcomes.get(fault)) for fault in found]
    left = [fault for fault, row in zip(found, rows, strict=True) if not row["mended"]]
    if json:
        looked = {name: getattr(audit, name) for name in ("artifacts", "bytes", "runs", "names")}
        print_json({**looked, "faults": rows, "recomputed": again})
    else:
        _print(audit, rows)
        _print_again(again)
        _print_next(left, [] if what is None else [what], lake, tried=repair)
    return 1 if left or any(row["same"] is False for row in again) else 0


def _repair(
    store: Lake, found: Sequence[Fault], *, repair: bool, rebuild: bool, download: bool
) -> dict[Fault, tuple[bool, str]]:
    """{fault: (whether it was repaired, how or why not)} for the given options."""
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
        how = f"it may hold the only copy of what {lost[0].what} was: put that back first, or say --rebuild"
        return outcomes | {fault: (False, how) for fault in found if fault.repair == "index"}
    if rebuild or (repair and any(fault.repair in {"artifact", "index"} for fault in found)):
        from editflow.flows.repair.verify import rebuild_index

        outcomes |= rebuild_index(store, found)
    return outcomes


def _again(store: Lake, chosen: Subject, stages: Sequence[str], *, download: bool) -> list[RecomputedRow]:
    """The results of recomputation, each printed as a line on the way."""
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()
    from editflow.flows.repair.repair import recompute_all
    from editflow.flows.repair.repair import select_artifacts as to_compute

    rows = []
    for row in recompute_all(store, to_compute(store, chosen, stages), download=download):
        words = {True: "[green]same[/]     ", False: "[bold red]otherwise[/]", None: "[yellow]not done[/] "}
        took = "" if row["seconds"] is None else f" {row['seconds']:7.1f} s"
        print_line(f"  {words[row['same']]} {quoted(row['stage']):26} [dim]{row['artifact'][:12]}[/]{took}")
        rows.append(row)
    return rows


def _print(audit: Audit, rows: Sequence[Row]) -> None:
    from rich.filesize import decimal

    if rows:
        more = f", the first {MOST} of {len(rows)}; --json has all" if len(rows) > MOST else ""
        print_table(rows[:MOST], ["what", "wrong", "remedy", "file"], title=f"faults{more}")
    looked = [f"{decimal(audit.bytes)} in {counted(audit.artifacts, 'artifact')}, every byte read"]
    looked += [counted(n, what) for n, what in ((audit.runs, "run"), (audit.names, "name")) if n]
    done = sum(row["mended"] for row in rows)
    found = f"{counted(len(rows), 'fault')}{f', {done} repaired' if done else ''}" if rows else "nothing is wrong"
    print_line(quoted(f"{'; '.join(looked)}: {found}"))


def _print_again(rows: Sequence[RecomputedRow]) -> None:
    other = [row for row in rows if row["same"] is False]
    undone = [row for row in rows if row["same"] is None]
    for title, some in (("came out differently", other), ("could not be computed again", undone)):
        if some:
            table = [row | {"artifact": row["artifact"][:12]} for row in some[:MOST]]
            print_table(table, ["stage", "artifact", "largest", "relative", "note"], title=title)
    explains = {row["key"]: row for one in other for row in one["explains"]}
    if explains:
        print_table(list(explains.values()), title="what differs since then: one was then, other is now")
    if rows:
        same = len(rows) - len(other) - len(undone)
        print_line(f"{same} of {len(rows)} artifacts, computed again, came out the same, bit for bit")


def _print_next(left: Sequence[Fault], words: Sequence[str], lake: str | None, *, tried: bool) -> None:
    mends = {fault.repair for fault in left}
    if tried and left:
        print_next("restore the missing and damaged files from a copy of the lake, and run it again")
    elif mends & {"artifact", "record"}:
        print_next(f"{typed('verify', *words, '--repair', lake=lake)} to set aside what is broken and put it right")
    elif "index" in mends:
        print_next(f"{typed('verify', '--rebuild', lake=lake)} to write the index again from what is there")
    elif left:
        print_next(left[0].remedy)
    else:
        print_next(f"{typed('runs', lake=lake)} for what was run")


def _row(fault: Fault, outcome: tuple[bool, str] | None) -> Row:
    """A fault as a row: its remedy is what was done about it, or the option to use."""
    done, how = outcome or (False, REMEDIES.get(fault.repair, fault.remedy))
    said = f"repaired: {how}" if done else f"not repaired: {how}" if outcome else how
    return {
        "what": fault.what,
        "wrong": fault.wrong,
        "remedy": said,
        "file": fault.file,
        "id": fault.id,
        "mended": done,
    }
