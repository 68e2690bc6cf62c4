"""editflow apply"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.cli.common.flow_start import start_flow
from editflow.flows.cli.common.print_summary import print_decisions
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json


def apply(
    spec: Path,
    /,
    *,
    batches: Annotated[int | None, Parameter(help="Stop after this many batches (default: when no request is waiting).",
                                             validator=Number(gte=1))] = None,
    set_: SetFlag = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Edit the waiting requests of a queue into its release, batch after batch, if they pass the spec's gates.

    A batch that breaks a gate is halved until the responsible requests are found. These are rejected with the
    measurements that broke the gate, and the others are released. Each request is decided exactly once, even if the
    command is killed, repeated or run twice.

    Parameters
    ----------
    spec
        A TOML file whose requests come from a queue (`requests.source = "queue:current"`), with [gates].
    """
    loaded, store = start_flow(spec, set_ or (), lake, "queue")
    from editflow.flows.apply import apply_edits
    from editflow.storage.records.runs import Runs

    record = apply_edits(loaded, list(set_ or ()), store.uri, batches)
    if json:
        print_json(record)
        return
    print_decisions(Runs(store.files).get(record["run_id"]))
    name = record["summary"]["queue"]
    print_next(
        f"{shell_command('ask', name, 'PROMPT', lake=lake)} to ask the release, "
        f"{shell_command('releases', name, lake=lake)} for the measurements"
    )
