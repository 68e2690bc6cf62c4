"""Conflicts: recipes that gave two different contents, each recorded in a file of the lake."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass

from editflow.storage.artifacts.manifest import Manifest
from editflow.storage.errors import PayloadConflict
from editflow.storage.files import Files
from editflow.storage.json_records import Id, Time, now, record_json


@dataclass(frozen=True)
class Conflict:
    """A recipe that gave a second content; ``distance`` is that of PayloadConflict."""

    id: Id
    kept: Id
    other: Id
    distance: float | None
    at: Time

    @property
    def name(self) -> str:
        """The path of the record inside the lake."""
        return f"conflicts/{self.id}-{self.other[:16]}.json"


def record_conflict(files: Files, kept: Manifest, other: str, distance: float | None) -> PayloadConflict:
    """Record that a recipe also gave content with the digest `other`; returns the error to raise."""
    conflict = Conflict(kept.id, kept.digest, other, distance, now())
    with contextlib.suppress(FileExistsError):  # the conflict is already recorded
        files.create(conflict.name, record_json(asdict(conflict)))
    return PayloadConflict(kept.id, kept.digest, other, distance)
