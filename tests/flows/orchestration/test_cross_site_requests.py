"""A server of EditFlow answers only its own page under its own host names; other hosts and origins are refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from editflow.flows.orchestration import locked_server

PORT = 4200
OWN = {"host": f"127.0.0.1:{PORT}"}


def scope(kind: str = "http", method: str = "GET", **headers: str) -> dict[str, Any]:
    """The ASGI scope of a request."""
    found = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": kind, "method": method, "headers": found}


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "evil.example", f"evil.example:{PORT}", "127.0.0.1:4201", f"127.0.0.1.evil.example:{PORT}",
     f"127.1:{PORT}", f"0.0.0.0:{PORT}", f"[::1]:{PORT}", f"localhost.:{PORT}", f"user@127.0.0.1:{PORT}",
     f"127.0.0.1:{PORT}, evil.example", f" 127.0.0.1:{PORT}", f"evil.example#127.0.0.1:{PORT}", "\xe9"],
)  # fmt: skip
def test_another_host_is_refused(host: str) -> None:
    assert locked_server.foreign(scope(host=host), PORT)
    assert not locked_server.foreign(scope(host=f"LOCALHOST:{PORT}"), PORT)


def test_a_request_must_name_exactly_one_host() -> None:
    assert locked_server.foreign(scope(), PORT)
    assert not locked_server.foreign(scope(**OWN), PORT)
    twice = scope(**OWN)
    twice["headers"] += [(b"host", b"evil.example")]
    assert locked_server.foreign(twice, PORT)


@pytest.mark.parametrize(
    "origin",
    ["null", "", "*", "http://evil.example", "http://evil.example:4200", "http://127.0.0.1", "http://127.0.0.1:4201",
     "https://127.0.0.1:4200", "http://localhost", "http://localhost:42000", "http://localhost.evil.example:4200",
     "http://127.0.0.1:4200/", "http://127.0.0.1:4200 http://evil.example", "file://", "chrome-extension://abc"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_another_origin_is_refused(kind: str, origin: str) -> None:
    assert locked_server.foreign(scope(kind, "POST", origin=origin, **OWN), PORT)
    for own in locked_server.origins(PORT):
        assert not locked_server.foreign(scope(kind, "POST", origin=own, **OWN), PORT)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_without_an_origin_a_foreign_page_may_only_open_the_page(site: str) -> None:
    sent = {**OWN, "sec_fetch_site": site}
    opened = {**sent, "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert not locked_server.foreign(scope(**opened), PORT)
    assert locked_server.foreign(scope(method="POST", **opened), PORT)
    assert locked_server.foreign(scope(**{**opened, "sec_fetch_dest": "iframe"}), PORT)
    assert locked_server.foreign(scope(**sent, sec_fetch_mode="no-cors", sec_fetch_dest="script"), PORT)
    assert not locked_server.foreign(scope(**{**sent, "sec_fetch_site": "same-origin"}), PORT)


@pytest.mark.parametrize("kind", ["http", "websocket", "lifespan"])
def test_refused_requests_never_reach_the_application(kind: str) -> None:
    reached, sent = [], []

    async def application(given: Any, _receive: Any, _send: Any) -> None:
        reached.append(given)

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    guarded = locked_server.OwnPageOnly(application, PORT)
    asyncio.run(guarded(scope(kind, origin="http://evil.example", **OWN), receive, send))
    assert [one["type"] for one in reached] == (["lifespan"] if kind == "lifespan" else [])
    assert [one.get("status", one.get("code")) for one in sent if len(one) > 2] == {
        "http": [403],
        "websocket": [1008],
    }.get(kind, [])
    asyncio.run(guarded(scope(kind, **OWN), receive, send))
    assert reached[-1]["type"] == kind
