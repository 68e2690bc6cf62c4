"""Renamed keys of specs. Spec files and run records of earlier versions use the old names.

Recipes of artifacts keep the old names, because an artifact's id is a hash of its recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

RENAMED: Mapping[str, str] = {
    "ability.ways": "ability.modes",
    "corpus.scan": "corpus.max_scanned_documents",
    "edit.filter": "edit.protected_energy",
    "edit.keep": "edit.keep_fraction",
    "evaluation.texts": "evaluation.generation_facts",
    "requests.skip": "requests.exclude_probes",
}
"""{old key: new key}, both with their section."""
RECIPE_NAMES: Mapping[str, str] = {new: old for old, new in RENAMED.items()}
"""{new key: old key}, which recipes use."""


def old_keys(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """(old key, new key, whether the spec has both) of every old key in a spec."""
    for old, new in RENAMED.items():
        section, _, name = old.partition(".")
        keys = spec.get(section)
        if isinstance(keys, Mapping) and name in keys:
            yield old, new, new.partition(".")[2] in keys


def with_new_names(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a spec with old keys renamed in place. A key with both names is left unchanged."""
    found = dict(spec)
    for old, new, both in old_keys(spec):
        section, _, name = old.partition(".")
        if not both:
            found[section] = {new.partition(".")[2] if k == name else k: v for k, v in found[section].items()}
    return found
