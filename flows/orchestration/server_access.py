"""Access to our Prefect servers: the password, the private folder that holds it, and no proxy between."""

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
from typing import BinaryIO
from urllib.parse import urlsplit

from editflow.flows.console.errors import UsageError
from editflow.flows.orchestration.locked_server import NAMES, origins

HOME = Path(".editflow")
"""Of `editflow up`, unless given."""
PASSWORD = "password"  # noqa: S105 - the name of the file
SETTINGS = "env"
OWNED = "make it yours with chown if you trust all it holds, or choose another folder with --home"
"""The remedy for a home of another user."""
_LONGEST = 4096
"""Characters that are read of a password's file."""
_USER = "editflow"
_SHAPE = re.compile(rf"{_USER}:[\w-]{{20,}}")
_MARKS = (PASSWORD, "server.log", "server.json", "prefect.db")
"""By one of these a folder is known as a home of `editflow up`, of earlier versions too."""


def new_secret() -> str:
    """A random password in Prefect's form, user:password."""
    return f"{_USER}:{secrets.token_urlsafe(32)}"


def private(folder: Path, remedy: str = "choose another folder", *, root_anywhere: bool = False) -> Path:
    """Make a folder that only its owner can enter, or narrow the one that is there; returns its real path.

    With `root_anywhere`, root may use that of another user, who stays its owner, as a container does with a cache from
    outside. `remedy` ends the message of the UsageError for any other folder.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (root_anywhere and os.geteuid() == 0):
            check_owner(folder, remedy)
        found = folder.stat()
        if found.st_mode & 0o077:
            with nullcontext() if found.st_uid == os.geteuid() else suppress(PermissionError):
                folder.chmod(0o700)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made a private folder ({error.strerror}): {remedy}") from None
    return folder.resolve()


def check_owner(folder: Path, remedy: str = OWNED) -> None:
    """Raise UsageError unless a folder is the caller's; also for root, to whom its owner could hand anything in it."""
    try:
        theirs = folder.stat().st_uid != os.geteuid()
    except PermissionError:
        theirs = True
    if theirs:
        raise UsageError(f"{folder} belongs to another user: {remedy}")


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
    real = private(home, OWNED)
    for one in real.iterdir():
        # A password of another user is replaced; a database or settings would have the worker run what they want.
        with suppress(FileNotFoundError):  # a running database's journal, which comes and goes
            if one.name != PASSWORD:
                _check_user(one, one.lstat())
    return real


def own_file(path: Path) -> bool:
    """Whether there is a file; raises UsageError unless it is a regular one of the caller's, and no link."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UsageError(f"{path} cannot be looked at ({error.strerror}): see to its folder") from None
    _check_file(path, found)
    return True


def open_own(path: Path, flags: int) -> int:
    """Open a regular file of the caller's, or make it with mode 0600 where the flags say so; no link is followed."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        own_file(path)  # says more of a link, a folder and a pipe
        raise UsageError(f"{path} cannot be opened ({error.strerror}): see to its permissions, or delete it") from None
    try:
        _check_file(path, os.fstat(handle))
    except UsageError:
        os.close(handle)
        raise
    return handle


def open_log(path: Path, *, truncate: bool = False) -> BinaryIO:
    """A log to append to, which `truncate` empties first. Raises UsageError for a file of another user."""
    handle = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if truncate:
        os.ftruncate(handle, 0)  # only now: it is known to be ours
    return os.fdopen(handle, "ab")


def drop_foreign(path: Path) -> None:
    """Remove a log that another user of the same cache has left, such as the host's of a container's root."""
    with suppress(OSError):
        if path.lstat().st_uid != os.geteuid():
            path.unlink()


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path} is no regular file: delete it")
    _check_user(path, found)


def _check_user(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise UsageError(f"{path} belongs to another user: delete it, or make it yours with chown if you trust it")


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
    """The password of a home and whether it is new: where there was none of ours, or others could have read it."""
    path = home / PASSWORD
    with suppress(UsageError, FileNotFoundError):
        if not path.lstat().st_mode & 0o077:
            return read_secret(home), False
    secret = new_secret()
    write_private(path, f"{secret}\n")
    return secret, True


def read_secret(home: Path) -> str:
    """The password of a home; raises UsageError where it has none."""
    path = home / PASSWORD
    try:
        # One that another user wrote is known to them.
        with os.fdopen(open_own(path, os.O_RDONLY), encoding="utf-8") as file:
            text = file.read(_LONGEST).strip()
    except (UsageError, OSError, UnicodeDecodeError):
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
    """The environment of its clients."""
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
