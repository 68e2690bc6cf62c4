"""Copies of remote files: bounded in size and time, and never redirected to another kind of place."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from editflow.editing.errors import first_line
from editflow.storage.address import Address, expand_variables, variable_names
from editflow.tasks.console.terminal import console, safe
from editflow.tasks.errors import FetchFailed, TaskError, no_such_file
from editflow.tasks.sources.download_limits import PATIENCE, Limits, Refused, Watch, watched

if TYPE_CHECKING:
    import requests

WEB = frozenset({"http", "https"})
NETWORK = WEB | {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf"}
"""Schemes whose files are copied."""
HOPS = 5
"""Redirects that are followed."""
LONGEST = 8000
"""Maximum length of an address; servers accept no longer ones."""
_CHUNK = 1 << 16


def download(address: Address, part: str, place: Path) -> None:
    """Copy what is at an address to a new local file; `part` is the address itself, or that inside a chain.

    Raises UnknownSource or FetchFailed, one line without secrets, which names the address.
    """
    limits = Limits.set()
    try:
        url = _sound(address, part)
        _say_who_gets(Address(part))
        with place.open("wb") as copy, watched(limits) as watch:
            for chunk in _from_web(url, watch) if _scheme(url) in WEB else _from_storage(url):
                watch.take(len(chunk))
                copy.write(chunk)
            watch.check()
    except TaskError:
        raise
    except Refused as refused:
        raise no_such_file(address, str(refused)) from None
    except Exception as error:  # noqa: BLE001  (requests, urllib3, and each file system of fsspec fail in their ways)
        if isinstance(error, OSError) and error.errno is not None and not _is_remote(error):
            why = f"no copy of {address} could be written to {gettempdir()} ({os.strerror(error.errno)})"
            raise FetchFailed(f"{why}; make room there, or set TMPDIR to another folder") from None
        raise no_such_file(address, address.without_secrets(_why(error))) from None


def host_of(part: str) -> str:
    """The host or bucket that an address leads to; a variable in it stays a name."""
    try:
        split = urlsplit(Address(part).full)
        split.port  # noqa: B018  (raises for a password with a slash in it)
        return split.netloc.rpartition("@")[2] or str(Address(part))
    except ValueError:
        return str(Address(part))


def _say_who_gets(given: Address) -> None:
    """One line that names the host to which the values of variables go."""
    if names := variable_names(given):
        said = f"  {', '.join(names)}: sent to {host_of(given)}, as the address asks"
        console(stderr=True, soft_wrap=True).print(safe(said), markup=False, highlight=False)


def _why(error: Exception) -> str:
    """What a library says, without the names of its objects."""
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", inner)
    said = first_line(reason if isinstance(reason, Exception) else error)
    return re.sub(r"^\w+\(host=[^)]*\): ", "", said)


def _sound(address: Address, part: str) -> str:
    """The address to be opened, whole and with its variables. Raises Refused for one that leads nowhere."""
    if address.is_redacted:
        raise Refused("its secret parts were cut out when it was recorded: give it whole, with --set or in the spec")
    if len(part) > LONGEST:
        raise Refused(f"an address of {len(part):,} characters; {LONGEST:,} are the most")
    given = Address(part)
    try:
        url = expand_variables(given, os.environ)
        split = urlsplit(url)
        split.port  # noqa: B018  (raises for one out of range)
    except ValueError as error:
        raise Refused(given.without_secrets(first_line(error))) from None
    if any(c < " " or c == "\x7f" for c in url):
        raise Refused("a control character is in it: write it as % and two digits")
    if "\\" in split.netloc:
        raise Refused("a backslash is in its host, where programs do not agree on the host: write %5C")
    if not split.netloc or (_scheme(url) in WEB and not split.hostname):
        raise Refused("No host in it")
    return url


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _is_remote(error: OSError) -> bool:
    """Whether it is the network that failed, and not the disk."""
    import requests
    import urllib3

    return isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | ConnectionError | TimeoutError)


def _from_web(url: str, watch: Watch) -> Iterator[bytes]:
    with _session(watch) as session, _answer(session, url) as answer:
        length = answer.headers.get("Content-Length", "")
        if length.isdecimal():
            watch.expect(int(length))
        yield from answer.iter_content(_CHUNK)


def _answer(session: requests.Session, url: str) -> requests.Response:
    """The answer behind all redirects. User and password are sent to the address's own host alone.

    Not by requests' own following, which reads the bodies of redirects to their end.
    """
    from requests.utils import get_auth_from_url

    first, auth = url, get_auth_from_url(url)
    for _ in range(HOPS + 1):
        given = auth if any(auth) and not session.should_strip_auth(first, url) else None
        answer = session.get(url, auth=given, stream=True, allow_redirects=False, timeout=PATIENCE)
        target = session.get_redirect_target(answer)
        if target is None:
            if answer.status_code != 200:
                answer.close()
                raise Refused(f"the server answers {_status(answer.status_code)}")
            return answer
        answer.close()
        url = _redirected(url, target)
    raise Refused(f"the server redirects more than {HOPS} times")


def _status(code: int) -> str:
    """A status in our words: the server's own may repeat what it was sent."""
    known = {one.value: one.phrase for one in HTTPStatus}
    return f"{code} {known.get(code, '')}".strip()


def _redirected(url: str, target: str) -> str:
    found = urljoin(url, target)
    scheme = _scheme(found)
    if scheme not in WEB:
        raise Refused("the server redirects to what is no http")
    if scheme == "http" and _scheme(url) == "https":
        raise Refused("the server redirects from https to http, where anybody could read and change it")
    return found


def _session(watch: Watch) -> requests.Session:
    """A session whose connections the watch can end at any time."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return watch.hold(super()._new_conn())

    class Locked(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return watch.hold(super()._new_conn())

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *given: Any, **named: Any) -> Any:
            pool = super().get_connection_with_tls_context(*given, **named)
            watched: dict[Any, Any] = {HTTPConnection: Plain, HTTPSConnection: Locked}
            pool.ConnectionCls = watched.get(pool.ConnectionCls, pool.ConnectionCls)  # one of SOCKS stays its own
            return pool

    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"  # a length that says what comes, and nothing to unpack
    for prefix in ("http://", "https://"):
        session.mount(prefix, Adapter())
    return session


def _from_storage(url: str) -> Iterator[bytes]:
    import fsspec

    with fsspec.open(url, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
