"""The common start of commands that run a flow on a spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from editflow.flows.console.output import lake_folder, print_line
from editflow.flows.orchestration.prefect_environment import check_working_folder
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.spec.run_spec import RunSpec
    from editflow.flows.spec.spec_file import SpecFile
    from editflow.storage.artifacts.store import Lake


def start_flow(
    spec: Path, settings: Sequence[str], lake: str | None, requests: Literal["file", "queue", "any"]
) -> tuple[SpecFile[RunSpec], Lake]:
    """Check the working folder, load the spec, open the lake and prepare Prefect. Import the flow only after this call.

    `requests`: where the requests of the spec must come from. The flow takes the result as its `spec` and does not
    read the file again.
    """
    check_working_folder()
    from editflow.flows.orchestration import temporary_server
    from editflow.flows.spec.loading import load_queue_spec, load_shared_spec, load_spec
    from editflow.flows.spec.spec_file import SpecFile
    from editflow.storage.artifacts.store import Lake

    load = {"file": load_spec, "queue": load_queue_spec, "any": load_shared_spec}[requests]
    loaded = SpecFile(spec, load(spec, settings))
    store = Lake.open(lake_folder(lake))
    print_line(f"[bold]{loaded.content.name}[/] in {quoted(store.uri)}")
    temporary_server.ready()
    return loaded, store
