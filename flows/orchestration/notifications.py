"""Notifications to the addresses in EDITFLOW_NOTIFY when a gate holds a release back."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import print_line

if TYPE_CHECKING:
    import apprise

ADDRESSES = "EDITFLOW_NOTIFY"
"""An environment variable and no key of a spec: addresses hold secrets, and a run's record keeps its spec."""


def addresses() -> list[str]:
    """The addresses that are set, as Apprise knows them. Raises UsageError for one that leads nowhere."""
    found = []
    for place, given in enumerate(os.environ.get(ADDRESSES, "").split(), 1):
        known = next((url for url in (given, _hook(given)) if _known(url)), None)
        if known is None:  # the address itself is not repeated: it may hold a password
            raise UsageError(
                f"{ADDRESSES}: address {place} is none that Apprise knows: write https://… for a webhook, or see "
                "Apprise's list of services for how mail and chats are written"
            )
        found.append(known)
    return found


def notify(title: str, body: str) -> None:
    """Send a message to all addresses; a warning names one that cannot be reached; the release is not affected."""
    undelivered = [place for place, _ in enumerate(addresses(), 1) if not _sent(place, title, body)]
    if undelivered:
        which = ", ".join(map(str, undelivered))
        print_line(f"[yellow]warning:[/] {ADDRESSES}: address {which} did not take the notification")


def _sent(place: int, title: str, body: str) -> bool:
    state = _send(place, title, body, return_state=True)
    return bool(state.is_completed())


@task(name="notify", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=[1, 5], log_prints=False)
def _send(place: int, title: str, body: str) -> None:
    """To the address in a place: what a task is given, Prefect keeps, and an address holds secrets."""
    import apprise

    if not _to(addresses()[place - 1]).notify(body=body, title=title, notify_type=apprise.NotifyType.FAILURE):
        raise ConnectionError("the address did not take it")


def _to(url: str) -> apprise.Apprise:
    import apprise

    found = apprise.Apprise()
    found.add(url)
    return found


def _known(url: str) -> bool:
    """Whether it leads anywhere; of one that does not, Apprise would log an error even where another spelling does."""
    import apprise

    log = logging.getLogger("apprise")
    before, log.disabled = log.disabled, True
    try:
        return apprise.Apprise.instantiate(url) is not None
    finally:
        log.disabled = before


def _hook(given: str) -> str:
    """A plain web address as what posts JSON to it."""
    scheme, colon, rest = given.partition("://")
    return {"http": "json", "https": "jsons"}.get(scheme, scheme) + colon + rest
