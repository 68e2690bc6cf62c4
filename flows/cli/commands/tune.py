"""editflow tune"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from editflow.flows.cli.common.completers import folders
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import lake_folder, print_json, print_line, print_table
from editflow.flows.orchestration.prefect_environment import check_working_folder
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
    set_: Annotated[
        SetFlag,
        Parameter(help="Fix a key of the spec, such as --set edit.ridge=10, and do not search it; may be repeated."),
    ] = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Search settings for a model: measure its spectra, try layers, step, clamp and λ on probe facts, write a spec.

    The spec excludes the probe facts, so that they are not used to judge it. Every trial is kept in the lake. After an
    interruption, the same command continues from the finished trials.

    Parameters
    ----------
    model
        A folder, a .gguf file, a hub id or the packaged default, as in model.source.
    requests
        A file of facts as described in docs/requests.md, with neighbourhood prompts.
    budget
        Minutes. The work that all trials share and one trial are done even if they take longer.
    facts
        The number of probe facts, chosen by the seed from the facts that have neighbours.
    corpus
        The corpus, as in corpus.source (default: the packaged sample).
    out
        The spec to write. An existing file is replaced only if tune wrote it.
    seed
        The seed for choosing probe facts.
    """
    check_working_folder()
    from editflow.flows.orchestration import temporary_server

    temporary_server.prepare()  # before Prefect is imported
    from editflow.flows.tuning.arguments import TuneArguments

    model, requests, corpus = Address(model), Address(requests), Address(corpus) if corpus else None
    _check_arguments(TuneArguments(model, requests, budget, facts, corpus, seed, tuple(set_ or ()), out))
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
        _print_result(found)
        print_next(f"{shell_command('run', str(out), lake=lake)} to edit other facts with the best setting")


def _check_arguments(arguments: TuneArguments) -> None:
    """Check the arguments before a server starts."""
    from editflow.flows.tuning.arguments import check, draft, split
    from editflow.tasks.models.model_source import model_folder
    from editflow.tasks.sources.corpus import describe_corpus

    check(arguments)
    drafted = draft(arguments)
    split(arguments, drafted.requests.dataset)
    model_folder(drafted.model.source)
    describe_corpus(drafted.corpus.source)


def _print_result(found: Mapping[str, Any]) -> None:
    """Print the result of `tune_model`: its threshold, its trials and its spec."""
    if threshold := found["threshold"]:
        print_table(threshold["layers"], title=f"null_space.rule = {threshold['rule']}, value = {threshold['value']:g}")
    trials = found["trials"]
    name, symbol = ("ridge", "λ") if trials[0]["alpha"] is None else ("alpha", "α")
    headings = {
        "trial": "trial", "varied": "varied", "layers": "layers", "learning_rate": "step", "clamp": "clamp",
        "stop_at": "stop", "steps": "steps", name: symbol, "efficacy": "efficacy %", "paraphrase": "paraphrase %",
        "neighbourhood": "neighbourhood %", "perplexity_ratio": "perplexity ×", "objective": "objective",
        "own_s": "own s", "error": "error",
    }  # fmt: skip
    rows = [{heading: trial.get(key) for key, heading in headings.items()} for trial in trials]
    print_table(rows, title=f"trials on {len(found['probes'])} probe facts")
    print_line(f"\nspec of trial {found['best']} in [bold]{quoted(found['spec'])}[/]")
