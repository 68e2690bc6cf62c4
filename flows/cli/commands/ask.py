"""editflow ask"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, RunName
from editflow.flows.cli.common.lookup import find_run, open_lake, released
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json, print_table

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake


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
        A release's name, a run's id or the start of one, the name of a spec (its latest completed run), or `last`.
    prompt
        The text to continue.
    """
    from editflow.flows.orchestration.prefect_environment import check_working_folder

    if not prompt.strip():
        raise UsageError("the prompt is empty: give a text to continue")
    store = open_lake(lake)
    name, state = _edited(store, run)
    check_working_folder()
    import torch

    from editflow.editing.models.generation import continue_text
    from editflow.flows.spec.consent import report_threads
    from editflow.tasks.console.progress import working
    from editflow.tasks.environment import threads_of
    from editflow.tasks.models.model_identity import open_session
    from editflow.tasks.models.model_session import state_chain

    # The thread count may move the last bits, and the state's digests are checked against those it was made with.
    made_with = store.manifest(state).environment
    torch.set_num_threads(used := threads_of(made_with))
    report_threads(made_with.get("threads"), used)
    base = state_chain(store, state)[0].id
    live = open_session(store, base, "cpu")
    states = {"base": base, "edited": state}
    with working("asking both models"):
        said = {
            which: prompt + continue_text(live.load_state(store, one), prompt, tokens) for which, one in states.items()
        }
    if json:
        print_json({"run": name, "prompt": prompt, **said})
    else:
        print_table([said])
        print_next(f"{typed('show', name, lake=lake)} for what the run edited, and its results")


def _edited(store: Lake, name: str) -> tuple[str, str]:
    """The run that made the state which is released under a name, or that the name means; and the state."""
    release = released(store, name)
    if release is None:
        record = find_run(store, name, edited=True)
        if record.state is None:
            raise UsageError(f"run {record.run_id} is {record.status} and has no edited model: ask a completed one")
        return record.run_id, record.state
    if release.state is None:
        raise UsageError(f"release {name} is the base model: `editflow queue {name}` says what became of requests")
    return str(store.manifest(release.state).created_by or name), release.state
