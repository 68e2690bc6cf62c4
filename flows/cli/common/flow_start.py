"""The common start of commands that run a flow on a spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from editflow.flows.console.output import lake_folder, print_line
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.spec.run_spec import RunSpec
    from editflow.storage.artifacts.store import Lake


def start_flow(
    load: Callable[[Path, Sequence[str]], RunSpec], spec: Path, settings: Sequence[str], lake: str | None
) -> tuple[RunSpec, Lake]:
    """Check the spec, open the lake, and make Prefect ready; import the flow only after this."""
    from editflow.flows.orchestration import temporary_server
    from editflow.storage.artifacts.store import Lake

    checked = load(spec, settings)
    store = Lake.open(lake_folder(lake))
    print_line(f"[bold]{checked.name}[/] in {quoted(store.uri)}")
    temporary_server.ready()
    return checked, store
