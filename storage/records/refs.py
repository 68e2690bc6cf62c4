"""Refs: mutable names, set by compare-and-set.

    <lake>/refs/<name>/00000001.json, 00000002.json, …      one file per version, never changed, never deleted

Setting a ref at version n exclusively creates file n + 1, so exactly one of two concurrent writers succeeds, on any
storage with exclusive creation. The old values are the history of the ref.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from editflow.storage.errors import DamagedRecord, ForeignFile, InvalidName, RefConflict
from editflow.storage.files import Files
from editflow.storage.json_records import is_id

RESTORE_ADVICE = "restore it from a copy of the lake"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"(?=0*[1-9])(\d{8}|[1-9]\d{8,17})\.json", re.ASCII)
"""The file of a version; fewer than 10^18 versions."""


@dataclass(frozen=True)
class Refs:
    """The refs of one lake: ``Refs(lake.files)``. Queues and releases are refs in another ``folder``."""

    files: Files
    folder: str = "refs"

    def get(self, name: str) -> tuple[Any, int] | None:
        """The value and version of a ref, or None if it was never set.

        Raises DamagedRecord for an unreadable file, InvalidName for an invalid name.
        """
        version = self.version(name)
        return (self._value(name, version), version) if version else None

    def version(self, name: str) -> int:
        """The latest version of a ref, 0 if it was never set."""
        return max(self._versions(name), default=0)

    def _versions(self, name: str) -> list[int]:
        """The existing versions, in order. Cost: a listing."""
        names = self.files.list(self._folder(name))
        if not all(map(_VERSION.fullmatch, names)):
            remedy = "remove everything from it that is not a version, such as 00000001.json"
            raise DamagedRecord(self.files.path(self._folder(name)), remedy)
        return sorted(int(file.removesuffix(".json")) for file in names)

    def _value(self, name: str, version: int) -> Any:
        file = self.file(name, version)
        try:
            return json.loads(self.files.read(file))["value"]
        except ForeignFile:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            remedy = "restore it, or delete it to go back to the previous value"
            raise DamagedRecord(self.files.path(file), remedy) from error

    def set(self, name: str, value: object, expect: int) -> int:
        """Set a ref at version ``expect`` (0: never set) to a JSON ``value``; returns the new version.

        Raises RefConflict if the ref is at another version: read it again and decide again.
        """
        version = self.version(name)
        if version == expect:
            text = json.dumps({"value": value}, ensure_ascii=False) + "\n"
            try:
                self.files.create(self.file(name, expect + 1), text.encode())
            except FileExistsError:
                version = expect + 1
            else:
                return expect + 1
        raise RefConflict(
            f"ref {name!r} is at version {version}, not {expect}: another process set it; read it again and retry"
        )

    def artifact(self, name: str) -> str | None:
        """The artifact id that a ref contains, or None. Raises DamagedRecord if its value is not an id."""
        found = self.get(name)
        if found is None or is_id(found[0]):
            return found and str(found[0])
        raise DamagedRecord(
            self.files.path(self.file(name, found[1])),
            f"it does not contain an artifact id: {RESTORE_ADVICE}, or delete it",
        )

    def history(self, name: str) -> list[tuple[int, Any]]:
        """(version, value) of all versions, oldest first. Raises as ``get``."""
        return [(version, self._value(name, version)) for version in self._versions(name)]

    def faults(self, name: str) -> Iterator[tuple[str, str, str]]:
        """(file inside the lake, what is wrong, remedy) of the missing and unreadable files of a ref."""
        try:
            versions = self._versions(name)
        except ForeignFile as error:
            yield f"{self.folder}/{name}", f"is {error.what}", error.remedy
            return
        except (DamagedRecord, InvalidName):
            yield f"{self.folder}/{name}", "is not a valid name, or contains a file that is not a version", "remove it"
            return
        for before, version in pairwise([0, *versions]):
            if version > before + 1:
                more = f", with {version - before - 2} after it" if version > before + 2 else ""
                yield self.file(name, before + 1), f"is missing{more}, but later versions exist", RESTORE_ADVICE
            try:
                self._value(name, version)
            except ForeignFile as error:
                yield self.file(name, version), f"is {error.what}", error.remedy
            except DamagedRecord:
                undo = ", or delete it to go back to the previous value" if version == versions[-1] else ""
                yield self.file(name, version), "is damaged", RESTORE_ADVICE + undo

    def append(self, name: str, value: object) -> int:
        """Set a ref to ``value`` at any version, so that its history is a log. Returns the new version."""
        while True:
            with suppress(RefConflict):
                return self.set(name, value, self.version(name))

    def names(self) -> list[str]:
        """All refs that were ever set; other names in the folder are ignored."""
        return [name for name in self.files.list(self.folder) if _NAME.fullmatch(name)]

    def _folder(self, name: str) -> str:
        check_name(name)
        return f"{self.folder}/{name}"

    def file(self, name: str, version: int) -> str:
        """The path of a version inside the lake."""
        return f"{self._folder(name)}/{version:08d}.json"


def check_name(name: str) -> None:
    """Raise InvalidName, a ValueError, unless this can be the name of a ref."""
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f"ref name {name!r}: use 1 to 64 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit"
        )
