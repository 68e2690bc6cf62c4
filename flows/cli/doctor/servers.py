"""Checks of the Prefect servers that runs use: whether they answer, and whether they have a password."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from editflow.flows.cli.doctor.finding import Finding, Place, ok, problem, warning, write_error
from editflow.flows.console.errors import UsageError
from editflow.flows.orchestration import server_access
from editflow.flows.orchestration.prefect_environment import check_prefect
from editflow.tasks.sources.packaged_data import cache

if TYPE_CHECKING:
    from editflow.flows.orchestration.background_services import Services

RESTART = "`editflow down`, then `editflow up`"


def prefect(_place: Place) -> Iterator[Finding]:
    """The Prefect server that runs use. A temporary server is not started, because that takes ten seconds or more."""
    if url := os.environ.get("PREFECT_API_URL"):
        yield _check_server(url)
        return
    folder = cache() / "prefect"
    if reason := write_error(folder):
        remedy = "make the folder writable, or choose another one with EDITFLOW_CACHE"
        yield problem("prefect", f"its server cannot write a database to {folder}: {reason}", remedy)
    else:
        yield ok("prefect", f"{version('prefect')}; every run starts its own server, with a database in {folder}")


def _check_server(url: str) -> Finding:
    """Whether the user's own server requires a password, and accepts the one that runs use."""
    shown_url = re.sub(r"//[^/@]*@", "//", url)
    found = f"{version('prefect')}; runs use the server at {shown_url}"
    status = server_access.status(url)
    if not status:
        return problem("prefect", f"{found}, which does not answer", "check PREFECT_API_URL, or unset it")
    if status == 200:
        remedy = (
            "start it with PREFECT_SERVER_API_AUTH_STRING=user:password and its own page in "
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS; set PREFECT_API_AUTH_STRING for its clients"
        )
        return warning("prefect", f"{found}, which asks for no password: any page or user can run code on it", remedy)
    secret = os.environ.get("PREFECT_API_AUTH_STRING", "") or _default_secret(url)
    if os.environ.get("PREFECT_API_KEY") or server_access.status(url, secret=secret) == 200:
        return ok("prefect", found)
    return problem(
        "prefect", f"{found}, which refuses the password", "set PREFECT_API_AUTH_STRING to its user:password"
    )


def home(_place: Place) -> Iterator[Finding]:
    """The folder of `editflow up`, if there is one, and its server."""
    name, folder = "up", server_access.HOME
    if not folder.is_dir():
        return
    try:
        check_prefect()
        from editflow.flows.orchestration.background_services import Services

        server_access.check_owner(folder)
    except UsageError as error:
        yield problem(name, str(error), "then run `editflow doctor` again")
        return
    services = Services(folder)
    if folder.stat().st_mode & 0o077:
        yield warning(name, f"other users can read {folder}", "`editflow up` makes it private")
    if services.running("server") is None:
        yield ok(name, f"the server of {folder} is not running")
        return
    url = server_access.api(services.port)
    try:
        secret = server_access.read_secret(folder)
    except UsageError as error:
        yield problem(name, str(error), RESTART)
        return
    if server_access.status(url) == 200:
        yield problem(name, f"the server at {url} runs without a password", RESTART)
    elif server_access.status(url, secret=secret) != 200:
        password = folder / server_access.PASSWORD
        yield problem(name, f"the server at {url} does not accept the password in {password}", RESTART)
    else:
        yield ok(name, f"the server of {folder} at {url} accepts its password and nothing else")
        if old := outdated(services):
            found = f"{', '.join(old)}: registered by an earlier version, so the worker does not find the flow"
            remedy = "`editflow up` registers those of prefect.yaml again; `prefect deployment delete` removes others"
            yield warning("deployments", found, remedy)


def outdated(services: Services) -> list[str]:
    """The deployments of the work pool with an entrypoint of an earlier version, which begins with `flows.`."""
    from editflow.flows.orchestration.background_services import POOL

    with services.client() as client:
        found = client.read_deployments()
    ours = [deployment for deployment in found if deployment.work_pool_name == POOL]
    return sorted(each.name for each in ours if (each.entrypoint or "").startswith("flows."))


def _default_secret(url: str) -> str:
    """The password that a run uses by default; empty if there is none."""
    from editflow.flows.orchestration.temporary_server import home_secret

    try:
        return home_secret(url)
    except UsageError:
        return ""
