"""editflow gc"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.filesize import decimal

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json, print_line, print_table
from editflow.storage.maintenance.retention_policy import MAX_DAYS, RetentionRule

Runs = Annotated[
    int | None, Parameter(help="Of each name, keep what its newest completed runs need.", validator=Number(gte=1))
]
Days = Annotated[
    float | None,
    Parameter(help="Keep what runs that ended within so many days need.", validator=Number(gt=0, lte=MAX_DAYS)),
]

if TYPE_CHECKING:
    from editflow.storage.maintenance.garbage_collection import KindRow


def gc(
    *,
    delete: Annotated[bool, Parameter(negative=(), help="Delete; without this option they are only listed.")] = False,
    hours: Annotated[
        float, Parameter(help="Only what was not touched for so long.", validator=Number(gte=1, lte=24 * MAX_DAYS))
    ] = 24,
    keep_runs: Runs = None,
    keep_days: Days = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Print the size of a lake and the files that are safe to delete: those of killed writers, payloads set aside.

    Temporary folders of your killed processes are listed as well, anywhere on this machine. --delete removes all that,
    and merges the index's files. Artifacts stay, unless --keep-runs or --keep-days says which runs count; with both, a
    run counts by either. Artifacts that a name, a release or a queue refers to stay, and so do run records: a run whose
    artifacts are gone can be run again. Safe beside running writers.
    """
    from editflow.flows.clean import cleared

    rule = RetentionRule(keep_runs, keep_days)
    found = cleared(open_lake(lake), hours, rule, delete=delete)
    if json:
        told = {"litter": found.orphans, "folders": found.folders, "kinds": found.kinds}
        print_json({"deleted": delete, **told, "removed": found.removed})
        return
    print_table([_kind(row, ruled=bool(rule)) for row in found.kinds], title="artifacts by kind")
    if found.orphans:
        print_table(found.orphans, title="removed" if delete else "would be removed")
    else:
        print_line("no unneeded files")
    if found.folders:
        title = f"temporary folders of killed processes, {'removed' if delete else 'would be removed'}"
        print_table([{**row, "bytes": decimal(row["bytes"])} for row in found.folders], title=title)
    if delete and rule:
        print_line(f"{found.removed} artifacts were removed")
    if delete or not (found.orphans or found.folders or any(row["unneeded"] for row in found.kinds)):
        print_next(f"{typed('doctor', lake=lake)} to check what is there")
    else:
        again = [word for option, value in (("--keep-runs", keep_runs), ("--keep-days", keep_days)) if value is not None
                for word in (option, f"{value:g}")]  # fmt: skip
        print_next(f"{typed('gc', '--delete', *again, lake=lake)} to remove it")


def _kind(row: KindRow, *, ruled: bool) -> dict[str, Any]:
    shown = {"kind": row["kind"], "artifacts": row["artifacts"], "size": decimal(row["bytes"])}
    return shown | ({"not needed": row["unneeded"], "of size": decimal(row["unneeded_bytes"])} if ruled else {})
