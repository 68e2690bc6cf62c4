"""Prefect's server, restricted to its own host names and its own page; it ends with its owner.

Prefect has settings for a password and for the origins that may read its answers. It has no setting for host names, and
it executes requests of foreign origins even if they may not read the answer. So its ASGI application is wrapped in
`OwnPageOnly`. This file is run by its path and imports nothing else of EditFlow.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import IO, Any

NAMES = ("127.0.0.1", "localhost")
UNTIL_EOF = "EDITFLOW_SERVER_UNTIL_EOF"
"""If set, the server ends when its standard input closes, so also when its owner is killed by SIGKILL."""

Scope = MutableMapping[str, Any]


def listen(port: int = 0) -> socket.socket:
    """A socket that listens on the loopback address, on a free port unless given. Raises OSError if the port is taken.

    The server inherits this socket, so no other process can take the port and receive the password.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    return listener


def begin(
    listener: socket.socket, environment: Mapping[str, str], log: IO[bytes], stdin: int, folder: Path
) -> subprocess.Popen[bytes]:
    """Start the server on a socket, in a new session, so that Ctrl-C in a terminal does not end it first.

    It runs in a private folder: Prefect reads settings from the working folder.
    """
    command = [sys.executable, "-P", str(Path(__file__).resolve()), str(listener.fileno())]
    return subprocess.Popen(  # noqa: S603 - a fixed command
        command, pass_fds=[listener.fileno()], stdin=stdin, stdout=log, stderr=log, env=dict(environment),
        start_new_session=True, cwd=folder, umask=0o077,
    )  # fmt: skip


def origins(port: int) -> list[str]:
    """The origins of the server's own page."""
    return [f"http://{name}:{port}" for name in NAMES]


class OwnPageOnly:
    """ASGI middleware that refuses foreign hosts (DNS rebinding) and foreign origins, for requests and websockets."""

    def __init__(self, app: Any, port: int) -> None:
        self.app = app
        self.port = port

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass on own requests; refuse foreign ones."""
        refusal = foreign(scope, self.port) if scope["type"] in {"http", "websocket"} else ""
        if not refusal:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            kind = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": kind})
            await send({"type": "http.response.body", "body": f"refused: {refusal}\n".encode()})


def foreign(scope: Scope, port: int) -> str:
    """Why a request is foreign: its host, origin or site; empty for an own request."""
    hosts, senders, site, mode, target = (
        [value.decode("latin-1").lower() for key, value in scope["headers"] if key.lower() == name]
        for name in (b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")
    )
    if len(hosts) != 1 or hosts[0] not in {f"{name}:{port}" for name in NAMES}:
        return "this server is not reached under that host"
    if senders:
        return "" if set(senders) <= set(origins(port)) else "a foreign origin"
    # Browsers send no origin for images, scripts, frames and links: of these, only an opened link is accepted.
    opened = scope.get("method") in {"GET", "HEAD"} and mode == ["navigate"] and target == ["document"]
    return "a foreign site" if {"cross-site", "same-site"} & set(site) and not opened else ""


def main() -> None:
    """Serve on the socket with the given descriptor; settings come from the environment."""
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    api, level = get_current_settings().server.api, get_current_settings().server.logging_level
    listener = socket.socket(fileno=int(sys.argv[1]))
    app = OwnPageOnly(create_app(final=True), listener.getsockname()[1])
    server = uvicorn.Server(uvicorn.Config(
        app, lifespan="on", log_level=level.lower(), timeout_keep_alive=api.keepalive_timeout,
        timeout_graceful_shutdown=5, ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
    ))  # fmt: skip
    if os.environ.pop(UNTIL_EOF, ""):
        threading.Thread(target=_end_with_owner, args=[server], daemon=True).start()
    server.run(sockets=[listener])


def _end_with_owner(server: Any) -> None:
    """Wait until the other end of standard input is closed."""
    while sys.stdin.buffer.read(1):
        pass
    server.should_exit = True


if __name__ == "__main__":
    main()
