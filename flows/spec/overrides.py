"""Apply settings of the command line (`--set`) to a raw spec."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from editflow.flows.console.errors import BadSpec
from editflow.flows.spec.old_names import accept_old_names, both_names
from editflow.flows.spec.toml_text import MAX_KEY_PARTS, RawSpec, read_toml_text
from editflow.flows.spec.typed_settings import as_setting
from editflow.storage.address import wrap_addresses
from editflow.storage.records.renamed_keys import RENAMED


def apply_all(raw: RawSpec, settings: Sequence[str]) -> None:
    """Apply settings to the raw spec in order. Raises BadSpec for a key under both its old and its new name."""
    keys = {setting.partition("=")[0].strip() for setting in settings}
    if both := next((pair for pair in RENAMED.items() if keys.issuperset(pair)), None):
        raise both_names("--set", *both)
    for setting in settings:
        apply(raw, setting)


def apply(raw: RawSpec, setting: str) -> None:
    """Apply `key.path=value` to the raw spec; a value that is not TOML is text."""
    setting = as_setting(setting)
    key, equals, text = setting.full.partition("=")
    if not equals or not key.strip():
        raise BadSpec(f"--set {setting!r}: write key=value, such as edit.batch_size=50")
    value = _value(setting, text.strip())
    *sections, last = key.strip().split(".")
    if not all(part.strip() for part in (*sections, last)) or len(sections) >= MAX_KEY_PARTS:
        raise BadSpec(
            f"--set {setting[:200]!r}: a part of the key is empty, or it has too many; write edit.batch_size=50"
        )
    given: Any = {last: wrap_addresses(value)}
    for section in reversed(sections):
        given = {section: given}
    given, here = accept_old_names(given, "--set"), raw
    for section in sections:
        given, here = given[section], here.setdefault(section, {})
        if not isinstance(here, dict):
            raise BadSpec(f"--set {setting!r}: {section!r} is a value, not a section")
    here |= given


def _value(setting: str, text: str) -> Any:
    """The parsed value; text that is not TOML is a string."""
    try:
        found = read_toml_text(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        if text.startswith(("[", '"')):
            raise BadSpec(f"--set {setting[:200]!r}: the value is neither TOML nor plain text: {error}") from None
        found = {"value": text}
        if "\n" in text or "\r" in text:
            raise BadSpec(f"--set {setting!r}: give one value, in one line; repeat --set for another key") from None
    else:
        try:
            # Inside of a table, where neither a comment nor another key can follow.
            whole = read_toml_text(f"table = {{ value = {text} }}") == {"table": found}
        except (tomllib.TOMLDecodeError, RecursionError):
            whole = False
        # NaN is like nothing, not even itself.
        if not whole and not (len(found) == 1 and isinstance(found["value"], float) and "#" not in text):
            raise BadSpec(f"--set {setting!r}: something follows the value; repeat --set for another key")
    return found["value"]
