"""A local web server that requires a password and misbehaves on demand."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Served(ThreadingHTTPServer):
    """Serves a folder. `seen` has (path with query, Authorization or None) of every request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path, login: str = "") -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.login, self.seen, self.stopped = login, list[tuple[str, str | None]](), Event()
        self.hops = ""
        """The target of the redirect /moved."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, *_request: Any) -> None:
        """Ignore clients that disconnect."""


class _Handler(SimpleHTTPRequestHandler):
    server: Served

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        basic = base64.b64encode(self.server.login.encode()).decode()
        name = urlsplit(self.path).path
        if self.server.login and self.headers.get("Authorization") != f"Basic {basic}":
            self.send_error(401)
        elif name == "/moved":
            self._begin(302, Location=self.server.hops)
        elif name == "/round":
            self._begin(302, Location="/round")
        elif name == "/claims":
            self._begin(200, **{"Content-Length": parse_qs(urlsplit(self.path).query)["bytes"][0]})
        elif name == "/endless":
            self._begin(200)
            self._until_stopped(b"x" * 2**16, 0)
        elif name == "/drip":
            self._begin(200)
            self._until_stopped(b"x", 0.02)
        elif name == "/drip-rows":
            self._begin(200)
            self._until_stopped(b'{"n": "0"}\n', 0.02)
        elif name == "/drip-headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
            self._until_stopped(b"x", 0.02)
        else:
            super().do_GET()

    def _begin(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _until_stopped(self, data: bytes, pause: float) -> None:
        with suppress(OSError):
            while not self.server.stopped.is_set():
                self.wfile.write(data)
                time.sleep(pause)

    def log_message(self, *_words: object) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path, login: str = "") -> Iterator[Served]:
    """Serve a folder inside the block."""
    with Served(folder, login) as server:
        thread = Thread(target=partial(server.serve_forever, 0.05))
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()
