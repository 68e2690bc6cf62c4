"""All commands. Start-up is kept light: what a command needs is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence

from flows import environment
from flows.app import app
from flows.commands import queue, read
from flows.commands.apply import apply
from flows.commands.ask import ask
from flows.commands.compare import compare
from flows.commands.completion import completion
from flows.commands.diff import diff
from flows.commands.doctor import doctor
from flows.commands.evaluate import evaluate
from flows.commands.export_run import export_run
from flows.commands.fetch import fetch
from flows.commands.gc import gc
from flows.commands.impact import impact
from flows.commands.lineage import lineage
from flows.commands.plan import plan
from flows.commands.prepare import prepare
from flows.commands.query import query
from flows.commands.report import report
from flows.commands.requests import requests
from flows.commands.rerun import rerun
from flows.commands.run import run
from flows.commands.scores import scores
from flows.commands.tune import tune
from flows.commands.up import down, up
from flows.commands.verify import verify
from flows.errors import UsageError
from tasks.terminal import console

_COMMANDS = (
    fetch,
    plan,
    prepare,
    run,
    tune,
    read.runs,
    read.show,
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
    """Run the command of a line. Raises UsageError for words that are no text, and whatever the command raises."""
    for word in words:
        if "\0" in word or word != word.encode(errors="ignore").decode():
            raise UsageError(f"{word!r} is no text: give file names and words in the terminal's encoding")
    if any(environment.settings_here()):
        from flows import server

        server.prepare()  # before anything else imports Prefect, which would read them
    app.meta(words, console=console(), error_console=console(stderr=True), exit_on_error=False, print_error=False)
