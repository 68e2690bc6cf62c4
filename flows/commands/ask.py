"""editflow ask"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.commands.read import JsonFlag, LakeFlag, RunName, find_run, open_lake
from flows.errors import UsageError
from flows.hints import print_next, typed
from flows.output import print_json, print_table


def ask(
    run: RunName,
    prompt: str,
    /,
    *,
    tokens: Annotated[int, Parameter(help="How many tokens to say at most.", validator=Number(gte=1))] = 12,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Continue a prompt with the base model and with the edited one, side by side.

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest completed run), or `last`.
    prompt
        The text to continue.
    """
    if not prompt.strip():
        raise UsageError("the prompt is empty: give a text to continue")
    store = open_lake(lake)
    record = find_run(store, run, edited=True)
    if record.state is None:
        raise UsageError(f"run {record.run_id} is {record.status} and has no edited model: ask a completed one")
    import torch

    from editing.models.generation import continue_text
    from tasks.live import links
    from tasks.models import live_model
    from tasks.progress import working

    # The thread count may move the last bits, and the state's digests are checked against those it was made with.
    torch.set_num_threads(int(store.manifest(record.state).environment.get("threads", torch.get_num_threads())))
    base = links(store, record.state)[0].id
    live = live_model(store, base, "cpu")
    states = {"base": base, "edited": record.state}
    with working("asking both models"):
        said = {name: prompt + continue_text(live.at(store, state), prompt, tokens) for name, state in states.items()}
    if json:
        print_json({"run": record.run_id, "prompt": prompt, **said})
    else:
        print_table([said])
        print_next(f"{typed('show', record.run_id, lake=lake)} for what the run edited, and its results")
