"""Homes of `editflow up`, as if a server were theirs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from flows import access


def port_of(url: str) -> int:
    """Where an API listens."""
    return int(urlsplit(url).port or 0)


def home_of(folder: Path, port: int, secret: str) -> Path:
    """A home as if this process were the server of `editflow up` in the folder."""
    home = access.private(folder / access.HOME)
    access.write_private(home / access.PASSWORD, secret)
    known = {"pid": os.getpid(), "started": psutil.Process().create_time(), "port": port}
    (home / "server.json").write_text(json.dumps(known))
    return home
