"""Download remote files, with limits on size and time, and no redirects to other schemes."""

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
from editflow.tasks.sources.download_limits import GRACE_SECONDS, DownloadLimits, Refused, Watch, watch_download

if TYPE_CHECKING:
    import requests

WEB = frozenset({"http", "https"})
NETWORK = WEB | {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf"}
"""Schemes of files that are downloaded."""
MAX_REDIRECTS = 5
MAX_LENGTH = 8000
"""Maximum length of an address; servers accept no longer ones."""
_CHUNK = 1 << 16


def download(address: Address, part: str, path: Path) -> None:
    """Download an address to a new local file; `part` is the address itself, or the inner one of a chain.

    Raises UnknownSource or FetchFailed; the message names the address without its secrets.
    """
    limits = DownloadLimits.from_environment()
    try:
        url = _checked_url(address, part)
        _report_recipient(Address(part))
        with path.open("wb") as copy, watch_download(limits) as watch:
            for chunk in _from_web(url, watch) if _scheme(url) in WEB else _from_storage(url):
                watch.count(len(chunk))
                copy.write(chunk)
            watch.check_time()
    except TaskError:
        raise
    except Refused as refused:
        raise no_such_file(address, str(refused)) from None
    except Exception as error:  # noqa: BLE001  (requests, urllib3 and fsspec raise many classes)
        if isinstance(error, OSError) and error.errno is not None and not _is_remote(error):
            why = f"no copy of {address} could be written to {gettempdir()} ({os.strerror(error.errno)})"
            raise FetchFailed(f"{why}; free disk space, or set TMPDIR to another folder") from None
        raise no_such_file(address, address.without_secrets(_reason(error))) from None


def host_of(part: str) -> str:
    """The host or bucket of an address; variables are not expanded."""
    try:
        split = urlsplit(Address(part).full)
        split.port  # noqa: B018  (raises for a password with a slash in it)
        return split.netloc.rpartition("@")[2] or str(Address(part))
    except ValueError:
        return str(Address(part))


def _report_recipient(address: Address) -> None:
    """Print the host that receives the values of an address's variables."""
    if names := variable_names(address):
        line = f"  {', '.join(names)}: sent to {host_of(address)}, as the address asks"
        console(stderr=True, soft_wrap=True).print(safe(line), markup=False, highlight=False)


def _reason(error: Exception) -> str:
    """The message of a library's error, without the names of its objects."""
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", inner)
    message = first_line(reason if isinstance(reason, Exception) else error)
    return re.sub(r"^\w+\(host=[^)]*\): ", "", message)


def _checked_url(address: Address, part: str) -> str:
    """The URL with its variables expanded. Raises Refused for an invalid one."""
    if address.is_redacted:
        raise Refused(
            "its secrets were removed when it was recorded: give the complete address, with --set or in the spec"
        )
    if len(part) > MAX_LENGTH:
        raise Refused(f"an address of {len(part):,} characters; the maximum is {MAX_LENGTH:,}")
    given = Address(part)
    try:
        url = expand_variables(given, os.environ)
        split = urlsplit(url)
        split.port  # noqa: B018  (raises for one out of range)
    except ValueError as error:
        raise Refused(given.without_secrets(first_line(error))) from None
    if any(c < " " or c == "\x7f" for c in url):
        raise Refused("it contains a control character: write it as % and two digits")
    if "\\" in split.netloc:
        raise Refused("its host contains a backslash, which programs interpret differently: write %5C")
    if not split.netloc or (_scheme(url) in WEB and not split.hostname):
        raise Refused("it has no host")
    return url


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _is_remote(error: OSError) -> bool:
    """Whether the network failed, and not the disk."""
    import requests
    import urllib3

    return isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | ConnectionError | TimeoutError)


def _from_web(url: str, watch: Watch) -> Iterator[bytes]:
    with _session(watch) as session, _response(session, url) as response:
        length = response.headers.get("Content-Length", "")
        if length.isdecimal():
            watch.limits.check_size(int(length))
        yield from response.iter_content(_CHUNK)


def _response(session: requests.Session, url: str) -> requests.Response:
    """The response after all redirects. User and password are sent to the address's own host only.

    Does not use the redirect handling of requests, which reads the bodies of redirects.
    """
    from requests.utils import get_auth_from_url

    first, auth = url, get_auth_from_url(url)
    for _ in range(MAX_REDIRECTS + 1):
        login = auth if any(auth) and not session.should_strip_auth(first, url) else None
        response = session.get(url, auth=login, stream=True, allow_redirects=False, timeout=GRACE_SECONDS)
        target = session.get_redirect_target(response)
        if target is None:
            if response.status_code != 200:
                response.close()
                raise Refused(f"the server answers {_status(response.status_code)}")
            return response
        response.close()
        url = _redirected(url, target)
    raise Refused(f"the server redirects more than {MAX_REDIRECTS} times")


def _status(code: int) -> str:
    """The standard phrase of a status; the server's own text could repeat a secret that it received."""
    phrases = {status.value: status.phrase for status in HTTPStatus}
    return f"{code} {phrases.get(code, '')}".strip()


def _redirected(url: str, target: str) -> str:
    found = urljoin(url, target)
    scheme = _scheme(found)
    if scheme not in WEB:
        raise Refused("the server redirects to an address that is not http")
    if scheme == "http" and _scheme(url) == "https":
        raise Refused("the server redirects from https to http, where others could read and change the data")
    return found


def _session(watch: Watch) -> requests.Session:
    """A session whose connections the watch can cut at any time."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class WatchedHTTPConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return watch.add(super()._new_conn())

    class WatchedHTTPSConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return watch.add(super()._new_conn())

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **kwargs)
            classes: dict[Any, Any] = {HTTPConnection: WatchedHTTPConnection, HTTPSConnection: WatchedHTTPSConnection}
            pool.ConnectionCls = classes.get(pool.ConnectionCls, pool.ConnectionCls)  # SOCKS connections: unchanged
            return pool

    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"  # so that Content-Length is the size of the data
    for prefix in ("http://", "https://"):
        session.mount(prefix, Adapter())
    return session


def _from_storage(url: str) -> Iterator[bytes]:
    import fsspec

    with fsspec.open(url, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
