"""Names that move, by compare-and-set.

    <lake>/refs/<name>/00000001.json, 00000002.json, …      one file a move, never changed, never deleted

Moving a name from version n is the exclusive creation of file n + 1, so of two movers exactly one wins, on
any storage that can create a file exclusively. The old values are the name's history.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from storage.errors import DamagedRecord, RefConflict
from storage.files import Files

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Refs:
    """The moving names of one lake: ``Refs(lake.files)``."""

    files: Files

    def get(self, name: str) -> tuple[Any, int] | None:
        """The value and version of a name, or None when it was never set.

        Raises DamagedRecord for a file that cannot be read, ValueError for a malformed name.
        """
        versions = self.files.list(_folder(name))
        if not versions:
            return None
        last = f"{_folder(name)}/{versions[-1]}"
        try:
            return json.loads(self.files.read(last))["value"], int(versions[-1].removesuffix(".json"))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            remedy = "restore it, or delete it to go back to the name's value before"
            raise DamagedRecord(self.files.path(last), remedy) from error

    def set(self, name: str, value: object, expect: int) -> int:
        """Move a name from version ``expect`` (0: not yet set) to ``value`` (JSON); returns the new version.

        Raises RefConflict when the name is at another version: read it again and decide anew.
        """
        current = self.get(name)
        version = current[1] if current else 0
        if version == expect:
            text = json.dumps({"value": value}, ensure_ascii=False) + "\n"
            try:
                self.files.create(f"{_folder(name)}/{expect + 1:08d}.json", text.encode())
            except FileExistsError:
                version = expect + 1
            else:
                return expect + 1
        raise RefConflict(
            f"ref {name!r} is at version {version}, not {expect}: somebody moved it; read it again and retry"
        )

    def names(self) -> list[str]:
        """All names that were ever set."""
        return self.files.list("refs")


def _folder(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"ref name {name!r}: use 1 to 64 of a-z, 0-9, '.', '_' and '-', no '.', '_', '-' first")
    return f"refs/{name}"
