"""Access to the servers started here: password, private folder, no proxy."""

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
"""Default home of `editflow up`."""
PASSWORD = "password"  # noqa: S105 - the name of the file
SETTINGS = "env"
OWNED = "if you trust its content, take it over with chown; or choose another folder with --home"
"""The remedy for a home of another user."""
_MAX_CHARACTERS = 4096
"""Characters read of a password file."""
_USER = "editflow"
_SHAPE = re.compile(rf"{_USER}:[\w-]{{20,}}")
_MARKS = (PASSWORD, "server.log", "server.json", "prefect.db")
"""Files that mark a folder as a home of `editflow up`, also of earlier versions."""


def new_secret() -> str:
    """A random password in Prefect's form, user:password."""
    return f"{_USER}:{secrets.token_urlsafe(32)}"


def private(folder: Path, remedy: str = "choose another folder", *, root_anywhere: bool = False) -> Path:
    """Create a folder that only its owner can enter, or restrict an existing one; return its real path.

    With `root_anywhere`, root may use another user's folder without changing its owner, as containers do with a mounted
    cache. Raises UsageError, which ends with `remedy`, for any other folder.
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
        raise UsageError(f"{folder} cannot be made private ({error.strerror}): {remedy}") from None
    return folder.resolve()


def check_owner(folder: Path, remedy: str = OWNED) -> None:
    """Raise UsageError unless the caller owns a folder; also for root, because the owner could put anything in it."""
    try:
        theirs = folder.stat().st_uid != os.geteuid()
    except PermissionError:
        theirs = True
    if theirs:
        raise UsageError(f"{folder} belongs to another user: {remedy}")


def private_home(home: Path) -> Path:
    """Make the home of `editflow up` private. Raises UsageError for a folder with other content."""
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
        # Another user's password is replaced; their database or settings could make the worker run anything.
        with suppress(FileNotFoundError):  # the journal of a running database
            if one.name != PASSWORD:
                _check_user(one, one.lstat())
    return real


def own_file(path: Path) -> bool:
    """Whether a file exists. Raises UsageError unless it is a regular file of the caller, not a link."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check its folder") from None
    _check_file(path, found)
    return True


def open_own(path: Path, flags: int) -> int:
    """Open a regular file of the caller, or create it with mode 0600 if the flags say so; links are not followed."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        own_file(path)  # has a better message for a link, folder or pipe
        raise UsageError(f"{path} cannot be opened ({error.strerror}): check its permissions, or delete it") from None
    try:
        _check_file(path, os.fstat(handle))
    except UsageError:
        os.close(handle)
        raise
    return handle


def open_log(path: Path, *, truncate: bool = False) -> BinaryIO:
    """Open a log for appending; `truncate` empties it. Raises UsageError for another user's file."""
    handle = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if truncate:
        os.ftruncate(handle, 0)  # only after the owner is checked
    return os.fdopen(handle, "ab")


def drop_foreign(path: Path) -> None:
    """Remove another user's log from a shared cache, such as the host's log in a container."""
    with suppress(OSError):
        if path.lstat().st_uid != os.geteuid():
            path.unlink()


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path} is not a regular file: delete it")
    _check_user(path, found)


def _check_user(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise UsageError(f"{path} belongs to another user: delete it, or take it over with chown if you trust it")


def write_private(path: Path, text: str) -> None:
    """Write a file atomically; only its owner can ever read it."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")  # of mode 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def make_secret(home: Path) -> tuple[str, bool]:
    """The password of a home, and whether it is new. A password that others could have read is replaced."""
    path = home / PASSWORD
    with suppress(UsageError, FileNotFoundError):
        if not path.lstat().st_mode & 0o077:
            return read_secret(home), False
    secret = new_secret()
    write_private(path, f"{secret}\n")
    return secret, True


def read_secret(home: Path) -> str:
    """The password of a home. Raises UsageError if there is none."""
    path = home / PASSWORD
    try:
        # Only the caller's file: another user would know their own password.
        with os.fdopen(open_own(path, os.O_RDONLY), encoding="utf-8") as file:
            text = file.read(_MAX_CHARACTERS).strip()
    except (UsageError, OSError, UnicodeDecodeError):
        text = ""
    if not _SHAPE.fullmatch(text):
        raise UsageError(f"{path} has no valid password: run `editflow down`, then `editflow up` for a new one")
    return text


def server_settings(secret: str, port: int) -> dict[str, str]:
    """The environment of a locked server: the password, and its own page as the only origin."""
    own = ",".join(origins(port))
    names = ("PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS")
    return {"PREFECT_SERVER_API_AUTH_STRING": secret, **dict.fromkeys(names, own)}


def client_settings(secret: str, port: int) -> dict[str, str]:
    """The environment of a locked server's clients."""
    return {"PREFECT_API_URL": api(port), "PREFECT_API_AUTH_STRING": secret}


def api(port: int) -> str:
    """The API's address on a port of this machine."""
    return f"http://127.0.0.1:{port}/api"


def without_proxy(environment: MutableMapping[str, str]) -> None:
    """Exclude this machine from the proxies of an environment."""
    if not any(name.lower().endswith("_proxy") for name in environment):
        return
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    listed = [host.strip() for host in given.split(",") if host.strip()]
    spared = ",".join([*listed, *(name for name in (*NAMES, "::1") if name not in listed)])
    environment["no_proxy"] = environment["NO_PROXY"] = spared


def answers(url: str, path: str = "health", secret: str = "") -> bool:
    """Whether an API accepts a request. The default path needs no password."""
    return status(url, path, secret) == 200


def status(url: str, path: str = "hello", secret: str = "") -> int:
    """The HTTP status of a request, 0 without an answer. The default path needs the password if there is one."""
    import requests

    with requests.Session() as session:
        session.trust_env = not here(url)  # no proxy and no .netrc for this machine
        if secret:
            user, _, password = secret.partition(":")
            session.auth = (user, password)
        try:
            return session.get(f"{url.rstrip('/')}/{path}", timeout=10, allow_redirects=False).status_code
        except (requests.RequestException, ValueError):
            return 0


def here(url: str) -> bool:
    """Whether an address is a loopback address."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
