"""editflow up and editflow down: a Prefect server and a worker in the background, for scheduled deployments."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.completers import folders
from editflow.flows.console.next_steps import print_next
from editflow.flows.console.output import print_line, print_table
from editflow.flows.orchestration.prefect_environment import check_prefect
from editflow.flows.orchestration.server_access import HOME, PASSWORD, SETTINGS

Home = Annotated[Path, Parameter(help="The folder of the server's database, settings and logs.", completer=folders)]


def up(
    *,
    port: Annotated[int, Parameter(help="The server's port, on this machine only.",
                                   validator=Number(gte=1024, lte=65535))] = 4200,
    home: Home = HOME,
    file: Annotated[Path, Parameter(help="The file that defines the deployments.")] = Path("prefect.yaml"),
) -> None:  # fmt: skip
    """Start a Prefect server and a worker in the background, with all deployments and their schedules.

    A second call registers the deployments again and restarts what has stopped. `editflow down` stops both. The
    server has a password, which only you can read.
    """
    check_prefect()
    from editflow.flows.orchestration.background_services import up as start

    print_line("  [dim]starting Prefect's server and a worker …[/]")
    services = start(home, port, file)
    rows = [
        {"process": name, "pid": process.pid, "log": services.log(name)}
        for name in ("server", "worker")
        if (process := services.running(name)) is not None
    ]
    print_table(rows, title=f"Prefect is up: open http://127.0.0.1:{port}")
    print_line(f"the page asks for a password: `cat {quote(str(home / PASSWORD))}` prints it")
    print_next(
        f"`. {quote(str(home / SETTINGS))}` to connect this shell's prefect to it, `prefect deployment run "
        "apply-edits/apply` to start one now, `editflow down` to stop both"
    )


def down(*, home: Home = HOME) -> None:
    """Stop the server and the worker that `editflow up` started, and nothing else. The database stays."""
    check_prefect()
    from editflow.flows.orchestration.background_services import down as stop

    stopped = stop(home)
    print_line(f"ended: {', '.join(stopped)}" if stopped else "nothing of `editflow up` was running")
    print_next("`editflow up` to start them again: deployments and past runs are kept")
