"""editflow ask"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.commands.read import JsonFlag, LakeFlag, find_run, open_lake
from flows.errors import UsageError
from flows.output import print_json, print_table


def ask(
    run: str,
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
        A run's id or the start of one, the name of a spec (its latest run), or `last`.
    prompt
        The text to continue.
    """
    if not prompt.strip():
        raise UsageError("the prompt is empty: give a text to continue")
    store = open_lake(lake)
    record = find_run(store, run)
    if record.state is None:
        raise UsageError(f"run {record.run_id} is {record.status} and has no edited model: ask a completed one")
    from editing.models.generation import continue_text
    from tasks.live import links
    from tasks.models import live_model

    base = links(store, record.state)[0].id
    live = live_model(store, base, "cpu")
    answers = [
        {"model": name, "continuation": prompt + continue_text(live.at(store, state), prompt, tokens)}
        for name, state in (("base", base), ("edited", record.state))
    ]
    if json:
        print_json({"run": record.run_id, "prompt": prompt, **{a["model"]: a["continuation"] for a in answers}})
    else:
        print_table(answers)
