"""A local server with the API of the Hugging Face Hub, which records all requests."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0" * 39 + "1"


class Hub:
    """Serves folders as models by id. `asked` has the paths of all requests, `sent` the names of all files sent."""

    def __init__(self, models: dict[str, Path]) -> None:
        self.models, self.asked, self.sent = models, list[str](), list[str]()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        path = path.partition("?")[0]
        for name, folder in self.models.items():
            if path.startswith(f"/api/models/{name}"):
                files = [{"rfilename": p.name, "size": p.stat().st_size} for p in sorted(folder.iterdir())]
                tree = [{"type": "file", "path": f["rfilename"], "size": f["size"], "oid": "1" * 40} for f in files]
                content: Any = {"id": name, "sha": COMMIT, "siblings": files, "tags": [], "private": False}
                return 200, {}, json.dumps(tree if "/tree/" in path else content).encode()
            if path.startswith(f"/{name}/resolve/"):
                file = folder / path.rpartition("/")[2]
                if file.is_file():
                    data = file.read_bytes()
                    tag = hashlib.sha256(data).hexdigest()
                    return 200, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(data))}, data
        return 404, {"X-Error-Code": "EntryNotFound"}, b"{}"


@contextmanager
def hub(models: dict[str, Path], cache: Path) -> Iterator[Hub]:
    """Use a local hub with an empty cache inside the block."""
    served = Hub(models)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, headers, data = served.answer(self.path)
            self.send_response(code)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                if "/resolve/" in self.path and code == 200:
                    served.sent.append(self.path.rpartition("/")[2])
                self.wfile.write(data)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        from huggingface_hub import constants, hf_api

        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "ENDPOINT", address)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(hf_api.api, "endpoint", address)
        try:
            yield served
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
