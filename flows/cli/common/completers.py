"""Shell completion of names: runs, specs and folders."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from editflow.tasks.console.terminal import safe

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

    from editflow.storage.artifacts.store import Lake


MOST = 200


def run_names(context: CompletionContext) -> dict[str, str]:
    """The newest runs of the lake that was typed, the names of their specs, and `last`."""
    from editflow.storage.records.runs import Runs

    records = list(islice(Runs(_lake(context).files).newest(), MOST))
    runs = {record.run_id: f"{record.name}, {record.status}" for record in records}
    specs = {record.name: "the spec's latest run" for record in records}
    return _harmless({"last": "the latest run", **runs, **specs} if records else {})


def state_names(context: CompletionContext) -> dict[str, str]:
    """Names of specs that have a state."""
    from editflow.storage.records.refs import Refs

    return _harmless(dict.fromkeys(Refs(_lake(context).files).names(), "the state of the spec's latest run"))


def folders(context: CompletionContext) -> list[str]:
    """Folders that begin as what was typed."""
    typed = context.incomplete
    above = Path(typed) if typed.endswith("/") else Path(typed).parent
    found = (str(path) for path in above.expanduser().iterdir() if path.is_dir())
    return sorted(path for path in found if path == safe(path))


def _lake(context: CompletionContext) -> Lake:
    from editflow.flows.cli.common.lookup import open_lake

    return open_lake(context["lake"].raw)


def _harmless(offers: dict[str, str]) -> dict[str, str]:
    """Only names that a terminal can show as they are: lakes come from others too."""
    return {name: safe(about) for name, about in offers.items() if name and name == safe(name)}
