"""Old names of keys in specs and settings: they still work, with a note that gives the new name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from editflow.flows.console.errors import BadSpec
from editflow.flows.console.output import print_line
from editflow.flows.spec.toml_text import RawSpec
from editflow.storage.records.renamed_keys import old_keys, with_new_names
from editflow.tasks.console.terminal import quoted


def accept_old_names(raw: Mapping[str, Any], where: str) -> RawSpec:
    """A raw spec and its variants under the new names. Raises BadSpec for a key that is set under both names."""
    for old, new, both in old_keys(raw):
        if both:
            raise both_names(where, old, new)
        _print_new_name(where, old, new)
    found = with_new_names(raw)
    variants = raw.get("variants")
    if isinstance(variants, list):
        found["variants"] = [
            accept_old_names(one, f"{where}: variant {one.get('name', number)!r}") if isinstance(one, Mapping) else one
            for number, one in enumerate(variants, 1)
        ]
    return found


def both_names(where: str, old: str, new: str) -> BadSpec:
    """The error for a key that is set under both of its names."""
    return BadSpec(f"{where}: {old} is called {new} now, and both are set: remove {old}")


@cache
def _print_new_name(where: str, old: str, new: str) -> None:
    """Print the new name of a key, once per process."""
    print_line(f"[yellow]note:[/] {quoted(where)}: {old} is called {new} now; the old name still works")
