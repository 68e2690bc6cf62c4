"""Validate the spec of a run; report the first problem in one line, with the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from editflow.editing.errors import EditingError
from editflow.flows.console.errors import BadSpec
from editflow.flows.spec.address_fields import unseal_other_fields
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.address import wrap_addresses


def check_spec(raw: Mapping[str, Any], where: str) -> RunSpec:
    """Validate a spec. Raises BadSpec with the first problem, in one line."""
    try:
        spec = RunSpec.model_validate(unseal_other_fields(raw, RunSpec))
    except ValidationError as error:
        # Report a misspelt key before the missing key that it causes.
        first = min(error.errors(), key=lambda problem: problem["type"] == "missing")
        raise BadSpec(f"{where}: {_explain(first, raw)}") from None
    except EditingError as error:
        raise BadSpec(f"{where}: {error}") from None
    if found := next(_coerced_values(raw, spec.model_dump()), None):
        raise BadSpec(f"{where}: {found}")
    return spec


def _coerced_values(raw: Any, read: Any, key: str = "") -> Iterator[str]:
    """Messages for values that pydantic converted silently, such as "1", true or 1e3 to a number."""
    if isinstance(raw, Mapping) and isinstance(read, Mapping):
        for name in raw:
            yield from _coerced_values(raw[name], read.get(name), f"{key}.{name}" if key else name)
    elif isinstance(raw, list) and isinstance(read, list | tuple):
        for part, value in zip(raw, read, strict=False):
            yield from _coerced_values(part, value, key)
    elif isinstance(raw, bool) and not isinstance(read, bool):
        yield f"{key} is true or false; write a number"
    elif isinstance(read, bool) and not isinstance(raw, bool):
        yield f"{key} = {raw!r}: write true or false, without quotes"
    elif isinstance(read, int | float) and isinstance(raw, str):
        yield f"{key} = {raw!r}: write the number without quotes"
    elif isinstance(read, int) and isinstance(raw, float):
        yield f"{key} = {raw!r}: write a whole number, without a point or an exponent"


def _explain(problem: Any, raw: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        near = difflib.get_close_matches(path[-1], _keys_beside(path[:-1]), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(_keys_beside(path[:-1]))}"
        return f"unknown key {key!r}; {hint}"
    # For a key with several types, pydantic appends the name of the type to its path.
    key = ".".join(part for part in path if part.isidentifier() or part.isdecimal())
    if problem["type"] == "missing":
        return f"key {key!r} is missing; see specs/demo.toml"
    if problem["type"] in {"model_type", "dataclass_type"}:
        return f"{key} is a section, not a value: set a key of it, such as {key}.{_keys_beside(path)[0]}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" + (
        f" (got {wrap_addresses(problem['input'])!r})" if not isinstance(problem["input"], Mapping) else ""
    )


def _keys_beside(path: Sequence[str]) -> list[str]:
    """The known keys of the section at `path`."""
    section: Any = RunSpec
    for part in path:
        field = getattr(section, "model_fields", {}).get(part)
        section = field.annotation if field is not None else None
    if section is None:
        return []
    names = getattr(section, "model_fields", None) or getattr(section, "__dataclass_fields__", {})
    return list(names)
