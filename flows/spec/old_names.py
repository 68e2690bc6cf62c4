"""Old names of keys in what a user writes: they work, with one line that gives the new name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from editflow.flows.console.errors import BadSpec
from editflow.flows.console.output import print_line
from editflow.storage.records.renamed_keys import old_keys, with_new_names
from editflow.tasks.console.terminal import quoted


def accept_old_names(raw: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A raw spec, its variants included, under the new names. Raises BadSpec for a key under both of its names."""
    for old, new, both in old_keys(raw):
        if both:
            raise both_names(where, old, new)
        _give_new_name(where, old, new)
    found = with_new_names(raw)
    variants = raw.get("variants")
    if isinstance(variants, list):
        found["variants"] = [
            accept_old_names(one, f"{where}: variant {one.get('name', number)!r}") if isinstance(one, Mapping) else one
            for number, one in enumerate(variants, 1)
        ]
    return found


def both_names(where: str, old: str, new: str) -> BadSpec:
    """The refusal of a key that is set under both of its names."""
    return BadSpec(f"{where}: {old} is called {new} now, and both are set: remove {old}")


@cache
def _give_new_name(where: str, old: str, new: str) -> None:
    """Once in a process, however often a spec is read."""
    print_line(f"[yellow]note:[/] {quoted(where)}: {old} is called {new} now; the old name still works")
