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
"""An environment variable, not a spec key: addresses contain secrets, and a run's record contains its spec."""


def addresses() -> list[str]:
    """The addresses as Apprise URLs. Raises UsageError for an unknown one."""
    found = []
    for place, given in enumerate(os.environ.get(ADDRESSES, "").split(), 1):
        known = next((url for url in (given, _webhook(given)) if _is_known(url)), None)
        if known is None:  # the address itself is not repeated: it may hold a password
            raise UsageError(
                f"{ADDRESSES}: address {place} is unknown to Apprise: write https://… for a webhook, or see "
                "Apprise's list of services for mail and chats"
            )
        found.append(known)
    return found


def notify(title: str, body: str) -> None:
    """Send a message to all addresses. Print a warning for each that fails; the release is not affected."""
    undelivered = [place for place, _ in enumerate(addresses(), 1) if not _delivered(place, title, body)]
    if undelivered:
        which = ", ".join(map(str, undelivered))
        print_line(f"[yellow]warning:[/] {ADDRESSES}: address {which} did not accept the notification")


def _delivered(place: int, title: str, body: str) -> bool:
    state = _send(place, title, body, return_state=True)
    return bool(state.is_completed())


@task(name="notify", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=[1, 5], log_prints=False)
def _send(place: int, title: str, body: str) -> None:
    """Send to the address with this number: Prefect stores arguments, and addresses contain secrets."""
    import apprise

    if not _receiver(addresses()[place - 1]).notify(body=body, title=title, notify_type=apprise.NotifyType.FAILURE):
        raise ConnectionError("the address did not accept it")


def _receiver(url: str) -> apprise.Apprise:
    import apprise

    found = apprise.Apprise()
    found.add(url)
    return found


def _is_known(url: str) -> bool:
    """Whether Apprise knows an address, without the error that it would log otherwise."""
    import apprise

    log = logging.getLogger("apprise")
    before, log.disabled = log.disabled, True
    try:
        return apprise.Apprise.instantiate(url) is not None
    finally:
        log.disabled = before


def _webhook(given: str) -> str:
    """A web address as an Apprise URL that posts JSON to it."""
    scheme, colon, rest = given.partition("://")
    return {"http": "json", "https": "jsons"}.get(scheme, scheme) + colon + rest
