"""Keys of specs that have a new name. Spec files and run records of earlier versions have the old one.

Recipes of artifacts keep the old words, since an artifact's id is a hash of its recipe.
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
"""{old name: new name} of a key, with its section."""
RECIPE_NAMES: Mapping[str, str] = {new: old for old, new in RENAMED.items()}
"""{name of a renamed key: what recipes call it}."""


def old_keys(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """(old name, new name, whether both are there) of every key that a spec has under its old name."""
    for old, new in RENAMED.items():
        section, _, name = old.partition(".")
        there = spec.get(section)
        if isinstance(there, Mapping) and name in there:
            yield old, new, new.partition(".")[2] in there


def with_new_names(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with its old keys under their new names, in their places. One that is there under both stays as it is."""
    found = dict(spec)
    for old, new, both in old_keys(spec):
        section, _, name = old.partition(".")
        if not both:
            found[section] = {new.partition(".")[2] if k == name else k: v for k, v in found[section].items()}
    return found
