"""editflow prepare"""

from __future__ import annotations

from pathlib import Path

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.cli.common.flow_start import start_flow
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json, print_line


def prepare(spec: Path, /, *, set_: SetFlag = None, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Compute what all runs of a spec share, without editing: second moments, null spaces, contexts.

    Later `editflow run` and `editflow apply` of the spec reuse it and only edit.

    Parameters
    ----------
    spec
        A TOML file such as specs/demo.toml, or one whose requests come from a queue.
    """
    loaded, store = start_flow(spec, set_ or (), lake, "any")
    from editflow.flows import prepare as flow

    found = flow.prepare(loaded, list(set_ or ()), store.uri)
    if json:
        print_json(found)
        return
    uses = found["runs"][-1]["uses"]
    created = sum(use["how"] == "created" for use in uses)
    print_line(f"\n{loaded.content.name} is prepared: {created} created, {len(uses) - created} reused")
    verb = "run" if loaded.content.requests.queue is None else "apply"
    print_next(f"{shell_command(verb, str(spec), lake=lake)} to edit with these statistics")
