"""Checks of the Prefect servers that runs use: do they answer, and do they have a password?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from editflow.flows.cli.doctor.finding import Finding, Place, ok, problem, refusal, warning
from editflow.flows.console.errors import UsageError
from editflow.flows.orchestration import server_access
from editflow.flows.orchestration.prefect_environment import check_prefect
from editflow.tasks.sources.packaged_data import cache

if TYPE_CHECKING:
    from editflow.flows.orchestration.background_services import Services

AGAIN = "`editflow down`, then `editflow up`"


def prefect(_place: Place) -> Iterator[Finding]:
    """Where runs find Prefect's server. A temporary one is not started: that takes ten seconds or more."""
    if url := os.environ.get("PREFECT_API_URL"):
        yield _chosen(url)
        return
    folder = cache() / "prefect"
    if why := refusal(folder):
        remedy = "make the folder writable, or choose another one with EDITFLOW_CACHE"
        yield problem("prefect", f"its server cannot keep a database in {folder}: {why}", remedy)
    else:
        yield ok("prefect", f"{version('prefect')}; every run starts a server for itself, with a database in {folder}")


def _chosen(url: str) -> Finding:
    """A server of the user's own is used as it is; this only says what it answers to a stranger, and to us."""
    where = re.sub(r"//[^/@]*@", "//", url)
    told, given = f"{version('prefect')}; runs use the server at {where}", os.environ.get("PREFECT_API_AUTH_STRING", "")
    found = server_access.status(url)
    if not found:
        return problem("prefect", f"{told}, which does not answer", "check PREFECT_API_URL, or unset it")
    if found == 200:
        remedy = (
            "start it with PREFECT_SERVER_API_AUTH_STRING=user:password and its own page in "
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS; set PREFECT_API_AUTH_STRING where it is used"
        )
        return warning("prefect", f"{told}, which asks for no password: any page and user can have it run code", remedy)
    if os.environ.get("PREFECT_API_KEY") or server_access.status(url, secret=given or _of_home(url)) == 200:
        return ok("prefect", told)
    return problem("prefect", f"{told}, which refuses the password", "set PREFECT_API_AUTH_STRING to its user:password")


def home(_place: Place) -> Iterator[Finding]:
    """The folder of `editflow up`, where there is one."""
    if not server_access.HOME.is_dir():
        return
    name = "up"
    try:
        check_prefect()
    except UsageError as error:
        yield problem(name, str(error), "then ask again")
        return
    from editflow.flows.orchestration.background_services import Services

    try:
        server_access.check_owner(server_access.HOME)
    except UsageError as error:
        yield problem(name, str(error), "`editflow up` and `editflow down` do not use it as it is")
        return
    services = Services(server_access.HOME)
    if server_access.HOME.stat().st_mode & 0o077:
        yield warning(name, f"other users can look into {server_access.HOME}", "`editflow up` makes it private")
    if services.running("server") is None:
        yield ok(name, f"the server of {server_access.HOME} is not running")
        return
    url = server_access.api(services.port)
    try:
        secret = server_access.read_secret(server_access.HOME)
    except UsageError as error:
        yield problem(name, str(error), AGAIN)
        return
    if server_access.status(url) == 200:
        yield problem(name, f"the server at {url} runs without a password", AGAIN)
    elif server_access.status(url, secret=secret) != 200:
        yield problem(
            name,
            f"the server at {url} does not take the password in {server_access.HOME / server_access.PASSWORD}",
            AGAIN,
        )
    else:
        yield ok(name, f"the server of {server_access.HOME} at {url} takes its password and nothing else")
        if old := outdated(services):
            yield warning(
                "deployments",
                f"{', '.join(old)}: registered by an earlier version, so the worker does not find the flow",
                "`editflow up` registers those of prefect.yaml again; `prefect deployment delete NAME` removes another",
            )


def outdated(services: Services) -> list[str]:
    """Deployments of our work pool whose entrypoint is none of this version: before, it began with `flows.`."""
    from editflow.flows.orchestration.background_services import POOL

    with services.client() as client:
        found = client.read_deployments()
    ours = [one for one in found if one.work_pool_name == POOL]
    return sorted(one.name for one in ours if (one.entrypoint or "").startswith("flows."))


def _of_home(url: str) -> str:
    """The password that a run would use by default, as `editflow.flows.orchestration.temporary_server` does."""
    from editflow.flows.orchestration.temporary_server import home_secret

    try:
        return home_secret(url)
    except UsageError:
        return ""
