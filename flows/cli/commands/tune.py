"""editflow tune"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from editflow.flows.cli.common.completers import folders
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import lake_folder, print_json, print_line, print_table
from editflow.storage.address import Address
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.tuning.arguments import TuneArguments


def tune(
    model: Annotated[str, Parameter(completer=folders)],
    /,
    *,
    requests: str,
    budget: float,
    facts: int = 24,
    corpus: str | None = None,
    out: Path = Path("tuned.toml"),
    seed: int = 0,
    set_: SetFlag = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Find a setting for a model: measure its spectra, try layers, step, clamp and λ on probe facts, write a spec.

    The spec leaves the probes out, so what it is judged on was never tried. Every trial is kept in the lake: the same
    command continues from the finished trials, after Ctrl-C too.

    Parameters
    ----------
    model
        As model.source: a folder, a .gguf file, a hub id or the packaged default.
    requests
        A file of facts in the shape of docs/requests.md, with neighbourhood prompts.
    budget
        Minutes. The work that all trials share and one trial are done even if they take longer.
    facts
        How many facts are probed: those with neighbours, drawn by the seed.
    corpus
        As corpus.source; by default the packaged sample.
    out
        The spec to write. Only a file of tune's own is overwritten.
    seed
        Of the choice of probes.
    set_
        Fix a key of the spec, such as --set edit.ridge=10; what is fixed is not searched. May be repeated.
    """
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()  # before anything that imports Prefect
    from editflow.flows.tuning.arguments import TuneArguments

    model, requests, corpus = Address(model), Address(requests), Address(corpus) if corpus else None
    _check(TuneArguments(model, requests, budget, facts, corpus, seed, tuple(set_ or ()), out))
    from editflow.storage.artifacts.store import Lake

    store = Lake.open(lake_folder(lake))
    print_line(f"[bold]{quoted(model)}[/] in {quoted(store.uri)}")
    temporary_server.reap()
    temporary_server.start()
    from editflow.flows.tuning.tune import tune_model

    found = tune_model(model, requests, budget, store.uri, facts, corpus, seed, list(set_ or ()), str(out))
    if json:
        print_json(found)
    else:
        _print(found)
        print_next(f"{typed('run', str(out), lake=lake)} to edit facts that were not probed, under the best setting")


def _check(arguments: TuneArguments) -> None:
    """Report wrong arguments before a server starts."""
    from editflow.flows.tuning.arguments import check, draft, split
    from editflow.tasks.models.model_source import model_folder
    from editflow.tasks.sources.corpus import describe_corpus

    check(arguments)
    drafted = draft(arguments)
    split(arguments, drafted.requests.dataset)
    model_folder(drafted.model.source)
    describe_corpus(drafted.corpus.source)


def _print(found: dict[str, Any]) -> None:
    if threshold := found["threshold"]:
        print_table(threshold["layers"], title=f"null_space.rule = {threshold['rule']}, value = {threshold['value']:g}")
    print_table([_shown(trial) for trial in found["trials"]], title=f"trials on {len(found['probes'])} probe facts")
    print_line(f"\nspec of trial {found['best']} in [bold]{quoted(found['spec'])}[/]")


def _shown(trial: dict[str, Any]) -> dict[str, Any]:
    hold = ("ridge", "λ") if trial["alpha"] is None else ("alpha", "α")
    names = {
        "trial": "trial", "varied": "varied", "layers": "layers", "learning_rate": "step", "clamp": "clamp",
        "stop_at": "stop", "steps": "steps", hold[0]: hold[1], "efficacy": "efficacy %", "paraphrase": "paraphrase %",
        "neighbourhood": "neighbourhood %", "perplexity_ratio": "perplexity ×", "objective": "objective",
        "own_s": "own s", "error": "error",
    }  # fmt: skip
    return {shown: trial.get(name) for name, shown in names.items()}
