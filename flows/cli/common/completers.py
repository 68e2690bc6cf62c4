"""Shell completion of names: runs, specs and folders."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from editflow.tasks.console.terminal import safe

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

    from editflow.storage.artifacts.store import Lake


MAX_RUNS = 200


def run_names(context: CompletionContext) -> dict[str, str]:
    """The newest runs of the lake on the command line, the names of their specs, and `last`."""
    from editflow.storage.records.runs import Runs

    records = list(islice(Runs(_lake(context).files).newest(), MAX_RUNS))
    runs = {record.run_id: f"{record.name}, {record.status}" for record in records}
    specs = {record.name: "the spec's latest run" for record in records}
    return _only_printable({"last": "the latest run", **runs, **specs} if records else {})


def state_names(context: CompletionContext) -> dict[str, str]:
    """The names of specs that have a state."""
    from editflow.storage.records.refs import Refs

    return _only_printable(dict.fromkeys(Refs(_lake(context).files).names(), "the state of the spec's latest run"))


def folders(context: CompletionContext) -> list[str]:
    """The folders whose paths begin with the typed text."""
    typed = context.incomplete
    parent = Path(typed) if typed.endswith("/") else Path(typed).parent
    found = (str(path) for path in parent.expanduser().iterdir() if path.is_dir())
    return sorted(path for path in found if path == safe(path))


def _lake(context: CompletionContext) -> Lake:
    from editflow.flows.cli.common.lookup import open_lake

    return open_lake(context["lake"].raw)


def _only_printable(offers: dict[str, str]) -> dict[str, str]:
    """The names without characters that control a terminal: a lake may come from somebody else."""
    return {name: safe(about) for name, about in offers.items() if name and name == safe(name)}
