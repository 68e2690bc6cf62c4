"""The common start of commands that run a flow on a spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from editflow.flows.console.output import lake_folder, print_line
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.spec.run_spec import RunSpec
    from editflow.flows.spec.spec_file import SpecFile
    from editflow.storage.artifacts.store import Lake


def start_flow(
    load: Callable[[Path, Sequence[str]], RunSpec], spec: Path, settings: Sequence[str], lake: str | None
) -> tuple[SpecFile[RunSpec], Lake]:
    """Load the spec, open the lake, and make Prefect ready; import the flow only after this.

    The flow takes the result as its `spec` and does not read the file again.
    """
    from editflow.flows.orchestration import temporary_server
    from editflow.flows.orchestration.prefect_environment import check_working_folder
    from editflow.flows.spec.spec_file import SpecFile
    from editflow.storage.artifacts.store import Lake

    check_working_folder()
    loaded = SpecFile(spec, load(spec, settings))
    store = Lake.open(lake_folder(lake))
    print_line(f"[bold]{loaded.content.name}[/] in {quoted(store.uri)}")
    temporary_server.ready()
    return loaded, store
