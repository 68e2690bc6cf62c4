"""editflow apply"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.cli.common.flow_start import start_flow
from editflow.flows.cli.common.run_summary import print_settled
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json


def apply(
    spec: Path,
    /,
    *,
    batches: Annotated[int | None, Parameter(help="At most so many; all that waits unless given.",
                                             validator=Number(gte=1))] = None,
    set_: SetFlag = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Edit what waits in a queue into the release, batch after batch, through the spec's gates.

    A batch that breaks a gate is halved until the guilty requests are found: those are rejected with what was
    measured, the others released. Each request is decided exactly once, even if the command is killed, repeated or
    run twice.

    Parameters
    ----------
    spec
        A TOML file whose requests come from a queue (`requests.source = "queue:current"`), with [gates].
    set_
        Override a key of the spec, such as --set edit.batch_size=50; may be repeated.
    """
    from editflow.flows.spec.loading import load_queue_spec

    loaded, store = start_flow(load_queue_spec, spec, set_ or (), lake)
    from editflow.flows.apply import apply_edits

    record = apply_edits(loaded, list(set_ or ()), store.uri, batches)
    if json:
        print_json(record)
        return
    print_settled(record["summary"])
    name = record["summary"]["queue"]
    print_next(
        f"{typed('ask', name, 'PROMPT', lake=lake)} to hear the release, "
        f"{typed('releases', name, lake=lake)} for what was measured"
    )
