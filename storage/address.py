"""Addresses of files and lakes whose secrets only the code that opens them can see.

An `Address` is a string without its secrets, so whatever prints, records, compares, hashes, copies or sends it gets the
redacted text; `full` is the text as given. User and password, the values of a query, a fragment, and tokens of the hub
are redacted:

    https://user:password@host/facts.jsonl?token=value#part    →    https://…@host/facts.jsonl?token=…#…

`${EDITFLOW_SECRET_NAME}` stands for that environment variable. It is not secret itself and is kept, so an address whose
secrets are all in variables can be opened again from a record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

REDACTED = "…"
"""The replacement for a secret."""
PREFIX = "EDITFLOW_SECRET_"
"""The prefix of all variables that an address may name, so that it cannot name other secrets of the user."""

_SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*"
_KNOWN = r"https?|s3[an]?|gc?s|az|abfss?|adl|ftps?|sftp|ssh|hf|webhdfs|hdfs|data"
# `://`, or a misspelling of it: one slash, no slash or no colon after a network scheme, or no scheme.
_HEAD = re.compile(
    rf"\s*(?:({_SCHEME}):[/\\]+|({_KNOWN})(?::(?=[^:]*[@?#])|[;.,]?[/\\]{{2,}})"
    r"|//+(?=[^/]*@)|[/\\]{2,}(?=[^/\\]*@))",
    re.IGNORECASE,
)
_AT = re.compile("@|%40", re.IGNORECASE)
_PORT = re.compile(r"\d+(?!\w)|(?:PORT|\$\{?\w+\}?|<\w+>|\{\w+\})?\Z")
"""A port, or a placeholder for one."""
_SUSPICIOUS = re.compile(r"[@?#&;%:]|//|\\|hf_")
"""A text without any of these contains no secret."""
# These are tried at every position of a text, so their length is bounded.
_SHORT = r"[A-Za-z][A-Za-z0-9+.\-]{0,30}"
_CHAIN = r"(?:\w{1,30}::){0,8}"
_LINK = re.compile(rf"::(?=\s{{0,8}}{_CHAIN}\s{{0,8}}{_SHORT}:[/\\])")
"""The separator in a chain such as zip://facts.jsonl::https://host/facts.zip."""
_NETWORK = re.compile("https?|ftps?|sftp|ssh|webhdfs|hdfs", re.IGNORECASE)
_CONTAINERS = frozenset({"abfs", "abfss", "adl", "az", "wasb", "wasbs"})
"""Schemes in which `container@account` is a location; only a part with a colon is a user."""
_VARIABLE = re.compile(r"\$\{(\w*)\}")
_VARIABLES = re.compile(r"(?:\$\{\w+\})+")
_TOKENS = re.compile(r"hf_[A-Za-z0-9]{8,}")
_NAME = re.compile(r"[A-Za-z][\w.\-]{0,39}")
_INSIDE = re.compile(rf"{_CHAIN}{_SHORT}:[/\\]+[^\s'\"<>`|]+")
_USER_INSIDE = re.compile(
    r"(?<![\w:/.@%+\-])(?!hub:|queue:)[\w.%+@\-]{1,100}+:[^\s/'\"<>`|]{1,200}@"
    r"(?=[\w\-]+(?:\.[\w\-]+)*+(?::\d+)?/|[\w\-]+\.\w|[\w\-]+:[\d/~]|localhost\b|\[[\da-fA-F:.]+\])"
)
"""`user:password@` without a scheme, before a host."""
_SLASHES_INSIDE = re.compile(r"(?<=[/\\]{2})[^\s/\\'\"<>`|@:]{1,100}:[^\s'\"<>`|@]{0,200}@")
"""`user:password@` after the slashes of a scheme."""
_QUERY_INSIDE = re.compile(r"(?<=[\w/])\?(?=[A-Za-z][\w.\-]{0,39}=)[^\s'\")]+")
_REDACTED_PART = re.compile(f"{REDACTED}[^/?#]*@|[?&;=:]{REDACTED}")


class Address(str):
    """A path or URL without its secrets; `full` opens it. A pickle contains only the redacted text."""

    __slots__ = ("_full",)
    _full: str

    def __new__(cls, text: str) -> Address:
        """The address of a text; an address is returned unchanged."""
        if isinstance(text, Address):
            return text
        address = super().__new__(cls, redact(text))
        address._full = str(text)
        return address

    @classmethod
    def with_display(cls, text: str, shown: str) -> Address:
        """A text that contains addresses in another form, such as a setting, with its redacted text `shown`."""
        address = super().__new__(cls, shown)
        address._full = str(text)
        return address

    @property
    def full(self) -> str:
        """The address as given, with its secrets. Only for the code that opens it."""
        return self._full

    @property
    def is_redacted(self) -> bool:
        """Whether it was redacted when it was recorded, so that it cannot be opened."""
        return bool(_REDACTED_PART.search(self._full)) and redact(self._full) == self._full

    def without_secrets(self, text: str) -> str:
        """A library's message about this address, without its secrets or those of other addresses."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return redact_text(text)

    def _secrets(self) -> set[str]:
        """The redacted parts, in every spelling that a library may use."""
        kept = set(re.split(r"[^\w]+", self))
        whole = _VARIABLE.sub(lambda found: os.environ.get(found[1], ""), self._full)
        parts = {part for part in re.split(r"[:/?#&=@;]+", whole) if len(part) >= 4 and part not in kept}
        parts = {part for part in parts if part not in str(self)}
        spellings = (str, unquote, unquote_plus, quote, quote_plus, _quoted)
        return {spell(part) for part in parts for spell in spellings} - {""}

    def __reduce__(self) -> tuple[Any, ...]:
        return (Address, (str(self),))

    def __deepcopy__(self, _memo: object) -> Address:
        return self

    def __copy__(self) -> Address:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        shown = core_schema.plain_serializer_function_ser_schema(lambda value: value)
        return core_schema.no_info_plain_validator_function(
            _checked, serialization=shown, json_schema_input_schema=core_schema.str_schema()
        )


def expand_variables(address: Address, environment: Mapping[str, str]) -> str:
    """The full address with the values of its variables.

    Raises ValueError, one line, for a variable that is not set or does not begin with `PREFIX`.
    """

    def value(found: re.Match[str], *, user: bool) -> str:
        name = found[1]
        if not name.startswith(PREFIX) or name == PREFIX:
            raise ValueError(f"an address may only name variables ${{{PREFIX}…}}, not ${{{name}}}; rename it")
        if not environment.get(name):
            raise ValueError(f"the environment variable {name} is not set; set it to what the address needs")
        return quote(environment[name], safe="") if user else environment[name]

    if "$" not in address.full or _HEAD.match(address.full) is None:
        return address.full
    start, at, rest = address.full.rpartition("@")
    start = _VARIABLE.sub(lambda found: value(found, user=True), start)
    return start + at + _VARIABLE.sub(lambda found: value(found, user=False), rest)


def redact(text: str) -> str:
    """An address without its secrets; the name of an existing local file is returned unchanged."""
    parts, start = list[str](), 0
    for found in _LINK.finditer(text):
        parts.append(text[start : found.start()])
        start = found.end()
    shown = "::".join(_redact_part(part) for part in (*parts, text[start:]))
    return text if shown != text and _is_local_file(text) else shown


def redact_text(text: str) -> str:
    """A sentence without the secrets of the addresses in it."""
    found = _INSIDE.sub(lambda one: _redact_word(one[0]), text)
    found = _USER_INSIDE.sub(f"{REDACTED}@", found)
    found = _SLASHES_INSIDE.sub(f"{REDACTED}@", found)
    found = _QUERY_INSIDE.sub(lambda one: _redact_word(one[0], _redact_query), found)
    found = re.sub(r"(url: /[^\s?]*)\?[^\s'\")]+", rf"\1?{REDACTED}", found)
    return _TOKENS.sub(REDACTED, found)


def wrap_addresses(value: Any) -> Any:
    """A JSON-like value, such as a spec, with an Address in place of every text that contains a secret."""
    if isinstance(value, Address):
        return value
    if isinstance(value, str):
        address = Address(value) if _SUSPICIOUS.search(value) else value
        return address if address != value else value
    if isinstance(value, Mapping):
        return {key: wrap_addresses(inner) for key, inner in value.items()}
    return [wrap_addresses(inner) for inner in value] if isinstance(value, list) else value


def unwrap_addresses(value: Any) -> Any:
    """The value with the full text in place of every Address."""
    if isinstance(value, Address):
        return value.full
    if isinstance(value, Mapping):
        return {key: unwrap_addresses(inner) for key, inner in value.items()}
    return [unwrap_addresses(inner) for inner in value] if isinstance(value, list) else value


def variable_names(address: Address) -> list[str]:
    """The names of the variables in an address."""
    return sorted(set(_VARIABLE.findall(address.full)))


def _is_local_file(text: str) -> bool:
    """Whether a text that looks like an address is the name of a local file."""
    head = _HEAD.match(text)
    has_scheme = head is not None and head[1] is not None
    return not has_scheme and "://" not in text and os.path.exists(text)  # noqa: PTH110 - never raises, for any text


def _redact_word(word: str, how: Callable[[str], str] = redact) -> str:
    """A redacted address or query, with the punctuation that follows it in a sentence or list."""
    body = word.rstrip(")],.;:}")
    return how(body) + word[len(body) :]


def _redact_part(part: str) -> str:
    """One part of a chain, redacted."""
    head = _HEAD.match(part)
    if head is None:
        return _redact_name(part)
    scheme = (head[1] or head[2] or "").lower()
    rest = part[head.end() :]
    user, place = _user(scheme, rest)
    end = re.search(r"[?#]", place)
    path, query = (place[: end.start()], place[end.start() :]) if end else (place, "")
    path = re.sub(r";([^=/;]*)=[^/;]+", rf";\1={REDACTED}", path)
    if _NETWORK.fullmatch(scheme):  # a user with a slash in it, or a query without its question mark
        *before, last = path.split("/")
        last = _redact_user(last) if "." in last.rpartition("@")[2] else last  # `Foo:Bar@Baz` at the end is not a host
        path = "/".join([*map(_redact_user, before), last])
        path = re.sub(r"&([^=/&]*)=[^/&]+", rf"&\1={REDACTED}", path)
    return _TOKENS.sub(REDACTED, head[0] + user + path + _redact_query(query))


def _redact_user(piece: str) -> str:
    """A piece of a path, with `user:password@` before a host redacted."""
    user, _, host = piece.rpartition("@")
    return f"{REDACTED}@{host}" if ":" in user else piece


def _redact_name(part: str) -> str:
    """A path, the name of a model or data set, or an address without its scheme, redacted."""
    if start := re.search(rf"{_SHORT}:[/\\]{{2}}", part):  # text before the address, such as a byte order mark
        return redact_text(part[: start.start()]) + _redact_part(part[start.start() :])
    user = None if part.startswith(("hub:", "queue:")) else re.match(r"[^/\s:]*+:[^/]*@", part)
    rest = part[user.end() :] if user else part
    at = re.search(r"\?[^/?]*=", rest) or (re.search(r"[?#]", rest) if part.startswith("hub:") else None)
    kept, query = (rest[: at.start()], rest[at.start() :]) if at else (rest, "")
    return _TOKENS.sub(REDACTED, (f"{REDACTED}@" if user else "") + kept + _redact_query(query))


def _user(scheme: str, rest: str) -> tuple[str, str]:
    """(user and password, redacted; the rest of the address)."""
    # Programs disagree on whether a host ends at a backslash, but C:\folder has no host.
    authority = re.split(r"[/\\?#]" if len(scheme) == 1 else r"[/?#]", rest, maxsplit=1)[0]
    if scheme in {"zip", "tar"}:
        return "", rest
    ats = list(_AT.finditer(authority))
    if not ats:
        host, colon, port = authority.rpartition(":")
        no_port = colon and not _PORT.match(port) and not authority.endswith("]")
        ats = list(_AT.finditer(rest)) if no_port else []  # a password that contains a slash or the like
        if not ats:
            is_password = no_port and re.fullmatch("https?|ftps?|sftp", scheme) and not _VARIABLES.fullmatch(port)
            return (f"{host}:{REDACTED}", rest[len(authority) :]) if is_password else ("", rest)
    user = rest[: ats[-1].start()]
    if scheme in _CONTAINERS and ":" not in user:
        return "", rest
    shown = ":".join(part if _VARIABLES.fullmatch(part) else REDACTED for part in user.split(":", 1)) if user else ""
    shown = REDACTED if shown == f"{REDACTED}:{REDACTED}" else shown
    return f"{shown}@", rest[ats[-1].end() :]


def _redact_query(query: str) -> str:
    """`?name=value&…#fragment` with everything redacted except names and variables."""
    query, hash_, fragment = query.partition("#")
    parts = filter(None, re.split(r"([&;])", query.removeprefix("?")))
    shown = "".join(part if part in "&;" else _redact_pair(part) for part in parts)
    mark = "?" if query.startswith("?") else ""
    return mark + shown + (hash_ + REDACTED if hash_ and fragment else hash_)


def _redact_pair(part: str) -> str:
    """`name=value`, redacted unless the value is a variable."""
    name, equals, value = part.partition("=")
    if _VARIABLES.fullmatch(part):
        return part
    if not equals or not value.strip("=") or not _NAME.fullmatch(name) or _TOKENS.fullmatch(name):
        return REDACTED
    return f"{name}={value if _VARIABLES.fullmatch(value) else REDACTED}"


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _checked(value: Any) -> Address:
    from pydantic_core import PydanticCustomError

    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return Address(value)
