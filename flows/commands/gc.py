"""editflow gc"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.commands.read import JsonFlag, LakeFlag, open_lake
from flows.hints import print_next, typed
from flows.output import print_json, print_line, print_table


def gc(
    *,
    delete: Annotated[bool, Parameter(negative=(), help="Do it; without this it is only said.")] = False,
    hours: Annotated[float, Parameter(help="Only what was not touched for so long.", validator=Number(gte=1))] = 24,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Say what a lake holds that nobody can miss: files of killed writers, payloads set aside. --delete removes it.

    Artifacts, run records, names, queues and releases stay. Safe beside running writers; the index's files are merged.
    """
    from flows.clean import cleaned

    rows = cleaned(open_lake(lake), hours, delete=delete)
    if json:
        print_json({"deleted": delete, "litter": rows})
        return
    if not rows:
        print_line("nothing to clear away")
        print_next(f"{typed('doctor', lake=lake)} to check what is there")
        return
    print_table(rows, title="removed" if delete else "would be removed")
    if delete:
        print_next(f"{typed('doctor', lake=lake)} to check what is there")
    else:
        print_next(f"{typed('gc', '--delete', lake=lake)} to remove it")
