"""editflow evaluate"""

from __future__ import annotations

from pathlib import Path

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.cli.common.flow_start import start_flow
from editflow.flows.cli.common.print_summary import print_summary
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json


def evaluate(spec: Path, /, *, set_: SetFlag = None, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Evaluate the release of a queue on all its facts with the spec's metrics, compared with the base model.

    Parameters
    ----------
    spec
        A TOML file whose requests come from a queue (`requests.source = "queue:current"`).
    """
    loaded, store = start_flow(spec, set_ or (), lake, "queue")
    from editflow.flows import evaluate as flow
    from editflow.storage.records.runs import Runs

    record = flow.evaluate(loaded, list(set_ or ()), store.uri)
    if json:
        print_json(record)
        return
    name = record["summary"]["queue"]
    if "before" in record["summary"]:
        print_summary(Runs(store.files).get(record["run_id"]))
    print_next(f"{shell_command('releases', name, lake=lake)} for the releases and the measurements of each batch")
