"""Who may talk to a Prefect server of ours: its password, the private folder that holds it, and no proxy between."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from collections.abc import MutableMapping
from contextlib import nullcontext, suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from flows.errors import UsageError
from flows.locked import NAMES, origins

HOME = Path(".editflow")
"""Of `editflow up`, unless given."""
PASSWORD = "password"  # noqa: S105 - the name of the file
SETTINGS = "env"
_USER = "editflow"
_SHAPE = re.compile(rf"{_USER}:[\w-]{{20,}}")
_MARKS = (PASSWORD, "server.log", "server.json", "prefect.db")
"""By one of these a folder is known as a home of `editflow up`, of earlier versions too."""


def new_secret() -> str:
    """A random password in Prefect's form, user:password."""
    return f"{_USER}:{secrets.token_urlsafe(32)}"


def private(folder: Path, remedy: str = "choose another folder") -> Path:
    """Make a folder that only its owner can enter, or narrow the one that is there; returns its real path.

    Root may use that of somebody else, who stays its owner, as a container does with a cache from outside. `remedy`
    ends the message of the UsageError for any other folder.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if os.geteuid() not in {0, found.st_uid}:
            raise UsageError(f"{folder} belongs to another user: {remedy}")
        if found.st_mode & 0o077:
            with nullcontext() if found.st_uid == os.geteuid() else suppress(PermissionError):
                folder.chmod(0o700)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made a private folder ({error.strerror}): {remedy}") from None
    return folder.resolve()


def private_home(home: Path) -> Path:
    """The home of `editflow up`, private; never a folder that serves something else, such as a user's own."""
    try:
        there = home.is_dir() and any(home.iterdir())
    except OSError as error:
        raise UsageError(f"{home}: {error.strerror}; choose another folder with --home") from None
    if there and not any((home / mark).exists() for mark in _MARKS):
        raise UsageError(f"{home} holds other files: choose a new or an empty folder with --home")
    if home.is_dir() and home.stat().st_mode & stat.S_ISVTX:
        raise UsageError(f"{home} is shared by several users: choose another folder with --home")
    return private(home, "choose another folder with --home")


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner alone from its first byte on."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")  # of mode 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def make_secret(home: Path) -> tuple[str, bool]:
    """The password of a home and whether it is new: where there was none, or where others could have read it."""
    path = home / PASSWORD
    with suppress(UsageError, FileNotFoundError):
        if not path.is_symlink() and not path.stat().st_mode & 0o077:
            return read_secret(home), False
    secret = new_secret()
    write_private(path, f"{secret}\n")
    return secret, True


def read_secret(home: Path) -> str:
    """The password of a home; raises UsageError where it has none."""
    path = home / PASSWORD
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not _SHAPE.fullmatch(text):
        raise UsageError(f"{path} holds no password of its server: `editflow down` and `editflow up` make a new one")
    return text


def server_settings(secret: str, port: int) -> dict[str, str]:
    """The environment of a locked server: its password, and its own page as the only origin."""
    own = ",".join(origins(port))
    names = ("PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS")
    return {"PREFECT_SERVER_API_AUTH_STRING": secret, **dict.fromkeys(names, own)}


def client_settings(secret: str, port: int) -> dict[str, str]:
    """The environment of whoever talks to it."""
    return {"PREFECT_API_URL": api(port), "PREFECT_API_AUTH_STRING": secret}


def api(port: int) -> str:
    """Where the API of a server of ours is."""
    return f"http://127.0.0.1:{port}/api"


def without_proxy(environment: MutableMapping[str, str]) -> None:
    """Let no request to this machine go through a proxy, where the environment names one."""
    if not any(name.lower().endswith("_proxy") for name in environment):
        return
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    listed = [host.strip() for host in given.split(",") if host.strip()]
    spared = ",".join([*listed, *(name for name in (*NAMES, "::1") if name not in listed)])
    environment["no_proxy"] = environment["NO_PROXY"] = spared


def answers(url: str, path: str = "health", secret: str = "") -> bool:
    """Whether an API grants a request; the default one needs no password."""
    return status(url, path, secret) == 200


def status(url: str, path: str = "hello", secret: str = "") -> int:
    """The HTTP status of an API's answer, by default to a request that needs the password if there is one; 0: none."""
    import requests

    with requests.Session() as session:
        session.trust_env = not here(url)  # on this machine neither a proxy nor a .netrc
        if secret:
            user, _, password = secret.partition(":")
            session.auth = (user, password)
        try:
            return session.get(f"{url.rstrip('/')}/{path}", timeout=10, allow_redirects=False).status_code
        except (requests.RequestException, ValueError):
            return 0


def here(url: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
