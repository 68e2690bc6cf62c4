"""editflow prepare"""

from __future__ import annotations

from pathlib import Path

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.cli.common.flow_start import start_flow
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json, print_line


def prepare(
    spec: Path,
    /,
    *,
    set_: SetFlag = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Compute what all runs of a spec share, without editing: second moments, null spaces, contexts.

    Later runs and applications of the spec reuse it and only edit.

    Parameters
    ----------
    spec
        A TOML file such as specs/demo.toml, or one that takes its requests from a queue.
    set_
        Override a key of the spec, such as --set corpus.tokens=500000; may be repeated.
    """
    from editflow.flows.spec.loading import load_shared_spec

    loaded, store = start_flow(load_shared_spec, spec, set_ or (), lake)
    from editflow.flows import prepare as flow

    found = flow.prepare(loaded, list(set_ or ()), store.uri)
    if json:
        print_json(found)
        return
    uses = found["runs"][-1]["uses"]
    made = sum(use["how"] == "created" for use in uses)
    print_line(f"\n{loaded.content.name} is prepared: {made} created, {len(uses) - made} reused")
    verb = "run" if loaded.content.requests.queue is None else "apply"
    print_next(f"{typed(verb, str(spec), lake=lake)} to edit on this ground")
