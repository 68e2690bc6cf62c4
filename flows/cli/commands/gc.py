"""editflow gc"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.filesize import decimal

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import open_lake
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json, print_line, print_table
from editflow.storage.maintenance.retention_policy import MAX_DAYS, RetentionRule

Hours = Annotated[
    float,
    Parameter(help="Only files that were not touched for this many hours.", validator=Number(gte=1, lte=24 * MAX_DAYS)),
]
KeepRuns = Annotated[
    int | None,
    Parameter(help="Keep what this many newest completed runs of each name need.", validator=Number(gte=1)),
]
KeepDays = Annotated[
    float | None,
    Parameter(help="Keep what runs that ended within this many days need.", validator=Number(gt=0, lte=MAX_DAYS)),
]


def gc(
    *,
    delete: Annotated[bool, Parameter(negative=(), help="Delete the files; by default they are only listed.")] = False,
    hours: Hours = 24,
    keep_runs: KeepRuns = None,
    keep_days: KeepDays = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Print the size of a lake and the files that are safe to delete: those of killed writers, payloads set aside.

    Temporary folders of your killed processes are listed too, anywhere on this machine. --delete removes all of these
    and merges the files of the index.

    With --keep-runs or --keep-days, artifacts that no kept run needs are removed as well; with both options, a run is
    kept if either keeps it. Artifacts that a name, a release or a queue refers to stay, and so do run records: a run
    whose artifacts were removed can be run again. Safe while writers are running.
    """
    from editflow.flows.clean import cleared

    rule = RetentionRule(keep_runs, keep_days)
    found = cleared(open_lake(lake), hours, rule, delete=delete)
    if json:
        print_json({
            "deleted": delete, "litter": found.orphans, "folders": found.folders, "kinds": found.kinds,
            "removed": found.removed,
        })  # fmt: skip
        return
    kinds = [
        {
            "kind": row["kind"], "artifacts": row["artifacts"], "size": decimal(row["bytes"]),
            "not needed": row["unneeded"], "of size": decimal(row["unneeded_bytes"]),
        }
        for row in found.kinds
    ]  # fmt: skip
    columns = ["kind", "artifacts", "size", *(["not needed", "of size"] if rule else [])]
    print_table(kinds, columns, title="artifacts by kind")
    removed = "removed" if delete else "would be removed"
    if found.orphans:
        print_table(found.orphans, title=removed)
    else:
        print_line("no unneeded files")
    if found.folders:
        folders = [{**row, "bytes": decimal(row["bytes"])} for row in found.folders]
        print_table(folders, title=f"temporary folders of killed processes, {removed}")
    if delete and rule:
        print_line(f"{found.removed} artifacts were removed")
    if delete or not (found.orphans or found.folders or any(row["unneeded"] for row in found.kinds)):
        print_next(f"{shell_command('doctor', lake=lake)} to check the lake")
    else:
        given = {"--keep-runs": keep_runs, "--keep-days": keep_days}
        words = [word for flag, value in given.items() if value is not None for word in (flag, f"{value:g}")]
        print_next(f"{shell_command('gc', '--delete', *words, lake=lake)} to remove it")
