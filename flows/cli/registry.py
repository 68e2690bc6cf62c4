"""All commands. Each command imports what it needs when it runs, so that start-up is fast."""

from __future__ import annotations

from collections.abc import Sequence

from editflow.flows.cli.commands import queue, runs
from editflow.flows.cli.commands.apply import apply
from editflow.flows.cli.commands.ask import ask
from editflow.flows.cli.commands.compare import compare
from editflow.flows.cli.commands.completion import completion
from editflow.flows.cli.commands.diff import diff
from editflow.flows.cli.commands.doctor import doctor
from editflow.flows.cli.commands.evaluate import evaluate
from editflow.flows.cli.commands.export_run import export_run
from editflow.flows.cli.commands.fetch import fetch
from editflow.flows.cli.commands.gc import gc
from editflow.flows.cli.commands.impact import impact
from editflow.flows.cli.commands.lineage import lineage
from editflow.flows.cli.commands.plan import plan
from editflow.flows.cli.commands.prepare import prepare
from editflow.flows.cli.commands.query import query
from editflow.flows.cli.commands.report import report
from editflow.flows.cli.commands.requests import requests
from editflow.flows.cli.commands.rerun import rerun
from editflow.flows.cli.commands.run import run
from editflow.flows.cli.commands.scores import scores
from editflow.flows.cli.commands.tune import tune
from editflow.flows.cli.commands.up import down, up
from editflow.flows.cli.commands.verify import verify
from editflow.flows.cli.common.app import app
from editflow.flows.console.errors import UsageError
from editflow.flows.orchestration import prefect_environment
from editflow.tasks.console.terminal import console

_COMMANDS = (
    fetch,
    plan,
    prepare,
    run,
    tune,
    runs.runs,
    runs.show,
    lineage,
    query,
    scores,
    compare,
    diff,
    rerun,
    export_run,
    ask,
    report,
    requests,
    apply,
    queue.submit,
    queue.queue,
    queue.releases,
    queue.rollback,
    evaluate,
    gc,
    impact,
    up,
    down,
    doctor,
    verify,
    completion,
)
for _command in _COMMANDS:
    app.command(_command)


def call(words: Sequence[str]) -> None:
    """Run a command line. Raises UsageError for words that are not text, and everything that the command raises."""
    for word in words:
        if "\0" in word or word != word.encode(errors="ignore").decode():
            raise UsageError(f"{word!r} is not text: give file names and words in the terminal's encoding")
    if any(prefect_environment.settings_here()):
        from editflow.flows.orchestration import temporary_server

        temporary_server.prepare()  # before another import of Prefect reads these settings
    app.meta(words, console=console(), error_console=console(stderr=True), exit_on_error=False, print_error=False)
