"""editflow evaluate"""

from __future__ import annotations

from pathlib import Path

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.cli.common.flow_start import start_flow
from editflow.flows.cli.common.run_summary import print_summary
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json


def evaluate(
    spec: Path,
    /,
    *,
    set_: SetFlag = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Measure the release of a queue on all facts it holds, against the base model, by the spec's metrics.

    Parameters
    ----------
    spec
        A TOML file whose requests come from a queue (`requests.source = "queue:current"`).
    set_
        Override a key of the spec, such as --set evaluation.drift=100; may be repeated.
    """
    from editflow.flows.spec.loading import load_queue_spec

    loaded, store = start_flow(load_queue_spec, spec, set_ or (), lake)
    from editflow.flows import evaluate as flow

    record = flow.evaluate(loaded, list(set_ or ()), store.uri)
    if json:
        print_json(record)
        return
    name = record["summary"]["queue"]
    if "before" in record["summary"]:
        print_summary(record)
    print_next(f"{typed('releases', name, lake=lake)} for the releases and what was measured of each batch")
