"""Names that move, by compare-and-set.

    <lake>/refs/<name>/00000001.json, 00000002.json, …      one file a move, never changed, never deleted

Moving a name from version n is the exclusive creation of file n + 1, so of two movers exactly one wins, on
any storage that can create a file exclusively. The old values are the name's history.
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
"""The file of a version: no name has moved 10^18 times."""


@dataclass(frozen=True)
class Refs:
    """The moving names of one lake: ``Refs(lake.files)``; other kinds of name have another ``folder``."""

    files: Files
    folder: str = "refs"

    def get(self, name: str) -> tuple[Any, int] | None:
        """The value and version of a name, or None when it was never set.

        Raises DamagedRecord for a file that cannot be read, InvalidName for a malformed name.
        """
        version = self.version(name)
        return (self._value(name, version), version) if version else None

    def version(self, name: str) -> int:
        """How often a name was set."""
        return max(self._versions(name), default=0)

    def _versions(self, name: str) -> list[int]:
        """The existing versions, in order. Cost: a listing."""
        there = self.files.list(self._folder(name))
        if not all(map(_VERSION.fullmatch, there)):
            remedy = "take out of it what is not a version, such as 00000001.json"
            raise DamagedRecord(self.files.path(self._folder(name)), remedy)
        return sorted(int(file.removesuffix(".json")) for file in there)

    def _value(self, name: str, version: int) -> Any:
        file = self.file(name, version)
        try:
            return json.loads(self.files.read(file))["value"]
        except ForeignFile:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            remedy = "restore it, or delete it to go back to the name's value before"
            raise DamagedRecord(self.files.path(file), remedy) from error

    def set(self, name: str, value: object, expect: int) -> int:
        """Move a name from version ``expect`` (0: not yet set) to ``value`` (JSON); returns the new version.

        Raises RefConflict when the name is at another version: read it again and decide again.
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
            f"ref {name!r} is at version {version}, not {expect}: another process moved it; read it again and retry"
        )

    def artifact(self, name: str) -> str | None:
        """The id of the artifact under a name, or None. Raises DamagedRecord for a value that is no id."""
        found = self.get(name)
        if found is None or is_id(found[0]):
            return found and str(found[0])
        raise DamagedRecord(
            self.files.path(self.file(name, found[1])), f"it holds no id: {RESTORE_ADVICE}, or delete it"
        )

    def history(self, name: str) -> list[tuple[int, Any]]:
        """(version, value) of everything that a name has been set to, the oldest first; errors as those of ``get``."""
        return [(version, self._value(name, version)) for version in self._versions(name)]

    def faults(self, name: str) -> Iterator[tuple[str, str, str]]:
        """(file inside the lake, what is wrong, the remedy) of a name's files that cannot be read, or that are gone."""
        try:
            there = self._versions(name)
        except ForeignFile as error:
            yield f"{self.folder}/{name}", f"is {error.what}", error.remedy
            return
        except (DamagedRecord, InvalidName):
            yield f"{self.folder}/{name}", "is no name, or holds what is no version", "take out what is none"
            return
        for before, version in pairwise([0, *there]):
            if version > before + 1:
                more = f", and so are {version - before - 2} after it" if version > before + 2 else ""
                yield self.file(name, before + 1), f"is gone{more}, and later versions are there", RESTORE_ADVICE
            try:
                self._value(name, version)
            except ForeignFile as error:
                yield self.file(name, version), f"is {error.what}", error.remedy
            except DamagedRecord:
                back = ", or delete it to go back to the value before" if version == there[-1] else ""
                yield self.file(name, version), "is damaged", RESTORE_ADVICE + back

    def append(self, name: str, value: object) -> int:
        """Move a name to ``value`` from any version: its history is then a log. Returns the version."""
        while True:
            with suppress(RefConflict):
                return self.set(name, value, self.version(name))

    def names(self) -> list[str]:
        """All names that were ever set; what else lies there is none."""
        return [name for name in self.files.list(self.folder) if _NAME.fullmatch(name)]

    def _folder(self, name: str) -> str:
        check_name(name)
        return f"{self.folder}/{name}"

    def file(self, name: str, version: int) -> str:
        """The path inside the lake of what a name was set to."""
        return f"{self._folder(name)}/{version:08d}.json"


def check_name(name: str) -> None:
    """Raise InvalidName, a ValueError, for an invalid name."""
    if not _NAME.fullmatch(name):
        raise InvalidName(f"ref name {name!r}: use 1 to 64 of a-z, 0-9, '.', '_' and '-', no '.', '_', '-' first")
