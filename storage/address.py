"""Addresses of files and lakes; only the code that opens one sees its secrets.

An `Address` is the text without its secrets, so anything that prints, records, compares, hashes, copies or sends it has
that one; `whole` is what was given. Cut are user and password, the values of a query, a fragment, and tokens of the
hub:

    https://user:password@host/facts.jsonl?token=value#part    →    https://…@host/facts.jsonl?token=…#…

`${EDITFLOW_SECRET_NAME}` is replaced by that environment variable. It is no secret itself, so it stays, and an address
whose secrets are all in variables can be opened again from a record.
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

CUT = "…"
"""The replacement for a secret."""
PREFIX = "EDITFLOW_SECRET_"
"""How a variable begins that an address may name: one that was set for this, and no other secret of the user."""

_SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*"
_KNOWN = r"https?|s3[an]?|gc?s|az|abfss?|adl|ftps?|sftp|ssh|hf|webhdfs|hdfs|data"
# `://`, or what was meant to be: one slash, no slash or no colon after a scheme of the network, or no scheme.
_HEAD = re.compile(
    rf"\s*(?:({_SCHEME}):[/\\]+|({_KNOWN})(?::(?=[^:]*[@?#])|[;.,]?[/\\]{{2,}})"
    r"|//+(?=[^/]*@)|[/\\]{2,}(?=[^/\\]*@))",
    re.IGNORECASE,
)
_AT = re.compile("@|%40", re.IGNORECASE)
_PORT = re.compile(r"\d+(?!\w)|(?:PORT|\$\{?\w+\}?|<\w+>|\{\w+\})?\Z")
"""A port, or its placeholder in a text."""
_MARKS = re.compile(r"[@?#&;%:]|//|\\|hf_")
"""A text without any of them has nothing to hide."""
# Searched for at every position of a text, so each pattern is bounded in length.
_SHORT = r"[A-Za-z][A-Za-z0-9+.\-]{0,30}"
_CHAIN = r"(?:\w{1,30}::){0,8}"
_LINK = re.compile(rf"::(?=\s{{0,8}}{_CHAIN}\s{{0,8}}{_SHORT}:[/\\])")
"""Between the parts of a chain such as zip://facts.jsonl::https://host/facts.zip."""
_NETWORK = re.compile("https?|ftps?|sftp|ssh|webhdfs|hdfs", re.IGNORECASE)
_CONTAINERS = frozenset({"abfs", "abfss", "adl", "az", "wasb", "wasbs"})
"""Here `container@account` is a place; only what has a colon is a user's."""
_VARIABLE = re.compile(r"\$\{(\w*)\}")
_VARIABLES = re.compile(r"(?:\$\{\w+\})+")
_TOKENS = re.compile(r"hf_[A-Za-z0-9]{8,}")
_NAME = re.compile(r"[A-Za-z][\w.\-]{0,39}")
_INSIDE = re.compile(rf"{_CHAIN}{_SHORT}:[/\\]+[^\s'\"<>`|]+")
_USER_INSIDE = re.compile(
    r"(?<![\w:/.@%+\-])(?!hub:|queue:)[\w.%+@\-]{1,100}+:[^\s/'\"<>`|]{1,200}@"
    r"(?=[\w\-]+(?:\.[\w\-]+)*+(?::\d+)?/|[\w\-]+\.\w|[\w\-]+:[\d/~]|localhost\b|\[[\da-fA-F:.]+\])"
)
"""`user:password@` without a scheme, where a host follows."""
_SLASHES_INSIDE = re.compile(r"(?<=[/\\]{2})[^\s/\\'\"<>`|@:]{1,100}:[^\s'\"<>`|@]{0,200}@")
"""The same where the slashes of a scheme are left."""
_QUERY_INSIDE = re.compile(r"(?<=[\w/])\?(?=[A-Za-z][\w.\-]{0,39}=)[^\s'\")]+")
_LACKS = re.compile(f"{CUT}[^/?#]*@|[?&;=:]{CUT}")


class Address(str):
    """A path or URL as it may be shown; `whole` is what opens it. A pickle has nothing but what may be shown."""

    __slots__ = ("_whole",)
    _whole: str

    def __new__(cls, text: str) -> Address:
        """The address of a text; of an address, itself."""
        if isinstance(text, Address):
            return text
        made = super().__new__(cls, cut(text))
        made._whole = str(text)
        return made

    @classmethod
    def shown_as(cls, text: str, shown: str) -> Address:
        """A text that holds addresses in a way of its own, such as a setting, and how it may be shown."""
        made = super().__new__(cls, shown)
        made._whole = str(text)
        return made

    @property
    def whole(self) -> str:
        """The address with its secrets, as given. Only for the code that opens it."""
        return self._whole

    @property
    def is_lacking(self) -> bool:
        """Whether its secrets were cut out earlier, so that it cannot be opened."""
        return bool(_LACKS.search(self._whole)) and cut(self._whole) == self._whole

    def without_secrets(self, text: str) -> str:
        """A library's text about this address, without its secrets or those of another one."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, CUT)
        return cut_inside(text)

    def _secrets(self) -> set[str]:
        """The parts that were cut out, in every spelling that a library may use."""
        kept = set(re.split(r"[^\w]+", self))
        whole = _VARIABLE.sub(lambda found: os.environ.get(found[1], ""), self._whole)
        parts = {part for part in re.split(r"[:/?#&=@;]+", whole) if len(part) >= 4 and part not in kept}
        parts = {part for part in parts if part not in str(self)}
        spellings = (str, unquote, unquote_plus, quote, quote_plus, _quoted)
        return {spelt(part) for part in parts for spelt in spellings} - {""}

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


def expanded(address: Address, environment: Mapping[str, str]) -> str:
    """The whole address with its variables' values. Raises ValueError, one line, for one that is not set or ours."""

    def value(found: re.Match[str], *, user: bool) -> str:
        name = found[1]
        if not name.startswith(PREFIX) or name == PREFIX:
            raise ValueError(f"an address may name no variable but ${{{PREFIX}…}}, not ${{{name}}}; rename it")
        if not environment.get(name):
            raise ValueError(f"the environment variable {name} is not set; set it to what the address needs")
        return quote(environment[name], safe="") if user else environment[name]

    if "$" not in address.whole or _HEAD.match(address.whole) is None:
        return address.whole
    start, at, rest = address.whole.rpartition("@")
    start = _VARIABLE.sub(lambda found: value(found, user=True), start)
    return start + at + _VARIABLE.sub(lambda found: value(found, user=False), rest)


def cut(text: str) -> str:
    """An address without its secrets; the name of a local file stays as it is."""
    parts, start = list[str](), 0
    for found in _LINK.finditer(text):
        parts.append(text[start : found.start()])
        start = found.end()
    shown = "::".join(_cut(part) for part in (*parts, text[start:]))
    return text if shown != text and _is_here(text) else shown


def cut_inside(text: str) -> str:
    """A sentence that may contain addresses, without their secrets."""
    found = _INSIDE.sub(lambda one: _cut_word(one[0]), text)
    found = _USER_INSIDE.sub(f"{CUT}@", found)
    found = _SLASHES_INSIDE.sub(f"{CUT}@", found)
    found = _QUERY_INSIDE.sub(lambda one: _cut_word(one[0], _query), found)
    found = re.sub(r"(url: /[^\s?]*)\?[^\s'\")]+", rf"\1?{CUT}", found)
    return _TOKENS.sub(CUT, found)


def sealed(value: Any) -> Any:
    """A value such as that of a spec, with an Address for every text in it that has something to hide."""
    if isinstance(value, Address):
        return value
    if isinstance(value, str):
        made = Address(value) if _MARKS.search(value) else value
        return made if made != value else value
    if isinstance(value, Mapping):
        return {key: sealed(inner) for key, inner in value.items()}
    return [sealed(inner) for inner in value] if isinstance(value, list) else value


def opened(value: Any) -> Any:
    """The original text of a value that is not an address."""
    if isinstance(value, Address):
        return value.whole
    if isinstance(value, Mapping):
        return {key: opened(inner) for key, inner in value.items()}
    return [opened(inner) for inner in value] if isinstance(value, list) else value


def variables(address: Address) -> list[str]:
    """The names of the variables that an address asks for."""
    return sorted(set(_VARIABLE.findall(address.whole)))


def _is_here(text: str) -> bool:
    """Whether a text that looks like an address is the name of a local file."""
    head = _HEAD.match(text)
    named = head is None or head[1] is None
    return named and "://" not in text and os.path.exists(text)  # noqa: PTH110 - never raises, whatever the text


def _cut_word(word: str, how: Callable[[str], str] = cut) -> str:
    """An address, or its query, with what ends the sentence or the list around it."""
    body = word.rstrip(")],.;:}")
    return how(body) + word[len(body) :]


def _cut(part: str) -> str:
    """One part of a chain."""
    head = _HEAD.match(part)
    if head is None:
        return _cut_name(part)
    scheme = (head[1] or head[2] or "").lower()
    rest = part[head.end() :]
    user, place = _user(scheme, rest)
    end = re.search(r"[?#]", place)
    path, asked = (place[: end.start()], place[end.start() :]) if end else (place, "")
    path = re.sub(r";([^=/;]*)=[^/;]+", rf";\1={CUT}", path)
    if _NETWORK.fullmatch(scheme):  # a user with a slash in it, and a query whose question mark was forgotten
        *before, last = path.split("/")
        last = _cut_user(last) if "." in last.rpartition("@")[2] else last  # `Foo:Bar@Baz` at the end has no host
        path = "/".join([*map(_cut_user, before), last])
        path = re.sub(r"&([^=/&]*)=[^/&]+", rf"&\1={CUT}", path)
    return _TOKENS.sub(CUT, head[0] + user + path + _query(asked))


def _cut_user(piece: str) -> str:
    """A piece of a path without `user:password@` before a host."""
    user, _, host = piece.rpartition("@")
    return f"{CUT}@{host}" if ":" in user else piece


def _cut_name(part: str) -> str:
    """A path, the name of a model or data set, or an address whose scheme was forgotten."""
    if start := re.search(rf"{_SHORT}:[/\\]{{2}}", part):  # behind what is no part of it, such as a byte order mark
        return cut_inside(part[: start.start()]) + _cut(part[start.start() :])
    user = None if part.startswith(("hub:", "queue:")) else re.match(r"[^/\s:]*+:[^/]*@", part)
    rest = part[user.end() :] if user else part
    at = re.search(r"\?[^/?]*=", rest) or (re.search(r"[?#]", rest) if part.startswith("hub:") else None)
    kept, asked = (rest[: at.start()], rest[at.start() :]) if at else (rest, "")
    return _TOKENS.sub(CUT, (f"{CUT}@" if user else "") + kept + _query(asked))


def _user(scheme: str, rest: str) -> tuple[str, str]:
    """(what is shown of user and password, what comes after them)."""
    # Programs do not agree whether a host ends at a backslash, but in C:\folder there is none.
    authority = re.split(r"[/\\?#]" if len(scheme) == 1 else r"[/?#]", rest, maxsplit=1)[0]
    if scheme in {"zip", "tar"}:
        return "", rest
    marks = list(_AT.finditer(authority))
    if not marks:
        host, colon, port = authority.rpartition(":")
        odd = colon and not _PORT.match(port) and not authority.endswith("]")
        marks = list(_AT.finditer(rest)) if odd else []  # a password with a slash or the like in it
        if not marks:
            is_password = odd and re.fullmatch("https?|ftps?|sftp", scheme) and not _VARIABLES.fullmatch(port)
            return (f"{host}:{CUT}", rest[len(authority) :]) if is_password else ("", rest)
    user = rest[: marks[-1].start()]
    if scheme in _CONTAINERS and ":" not in user:
        return "", rest
    shown = ":".join(part if _VARIABLES.fullmatch(part) else CUT for part in user.split(":", 1)) if user else ""
    shown = CUT if shown == f"{CUT}:{CUT}" else shown
    return f"{shown}@", rest[marks[-1].end() :]


def _query(asked: str) -> str:
    """`?name=value&…#part` with nothing but names and variables."""
    query, hash_, fragment = asked.partition("#")
    parts = [part if part in "&;" else _pair(part) for part in re.split(r"([&;])", query.removeprefix("?")) if part]
    mark = "?" if query.startswith("?") else ""
    return mark + "".join(parts) + (hash_ + CUT if hash_ and fragment else hash_)


def _pair(part: str) -> str:
    name, equals, value = part.partition("=")
    if _VARIABLES.fullmatch(part):
        return part
    if not equals or not value.strip("=") or not _NAME.fullmatch(name) or _TOKENS.fullmatch(name):
        return CUT
    return f"{name}={value if _VARIABLES.fullmatch(value) else CUT}"


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _checked(value: Any) -> Address:
    from pydantic_core import PydanticCustomError

    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return Address(value)
