"""editflow ask"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, RunName
from editflow.flows.cli.common.lookup import find_release, find_run, open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json, print_table
from editflow.flows.orchestration.prefect_environment import check_working_folder

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake


def ask(
    run: RunName,
    prompt: str,
    /,
    *,
    tokens: Annotated[int, Parameter(help="Maximum number of tokens to generate.", validator=Number(gte=1))] = 12,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Continue a prompt with the base model and with the edited model, side by side.

    Parameters
    ----------
    run
        A release's name, a run's id or a unique prefix of it, the name of a spec (its latest completed run), or `last`.
    prompt
        The text to continue.
    """
    if not prompt.strip():
        raise UsageError("the prompt is empty: give a text to continue")
    store = open_lake(lake)
    name, state = _find_edited_state(store, run)
    check_working_folder()
    import torch

    from editflow.editing.models.generation import continue_text
    from editflow.flows.spec.consent import report_threads
    from editflow.tasks.console.progress import working
    from editflow.tasks.environment import threads_of
    from editflow.tasks.models.model_identity import open_session
    from editflow.tasks.models.model_session import state_chain

    # The number of threads may change the last bits, and the state's weights are checked against recorded digests.
    environment = store.manifest(state).environment
    torch.set_num_threads(threads := threads_of(environment))
    report_threads(environment.get("threads"), threads)
    base = state_chain(store, state)[0].id
    session = open_session(store, base, "cpu")
    states = {"base": base, "edited": state}
    with working("asking both models"):
        answers = {
            which: prompt + continue_text(session.load_state(store, id_), prompt, tokens)
            for which, id_ in states.items()
        }
    if json:
        print_json({"run": name, "prompt": prompt, **answers})
    else:
        print_table([answers])
        print_next(f"{shell_command('show', name, lake=lake)} for the run's facts and results")


def _find_edited_state(store: Lake, name: str) -> tuple[str, str]:
    """(run, state): the state that is released under a name, or of the run with a name, and the run that made it."""
    release = find_release(store, name)
    if release is None:
        record = find_run(store, name, edited=True)
        if record.state is None:
            raise UsageError(f"run {record.run_id} is {record.status} and has no edited model: ask a completed one")
        return record.run_id, record.state
    if release.state is None:
        raise UsageError(f"release {name} is the base model: `editflow queue {name}` lists its requests")
    return str(store.manifest(release.state).created_by or name), release.state
