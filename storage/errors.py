"""Errors of the lake.

    StorageError
    ├── LakeNotWritable    the folder refuses writes: permissions, read-only mount, not a folder
    ├── DiskFull           no room left; nothing half-written remains visible
    ├── UnknownKind        no such artifact kind
    ├── WrongSchema        a table does not have the columns of its kind
    ├── UnknownArtifact    no manifest under this id
    ├── UnknownRun         no run record under this id
    ├── DamagedRecord      a run record or a name's file that cannot be read
    │   └── ForeignFile    not the lake's own file: a link out of the lake, a pipe, a device, a folder
    ├── NoName             a text that cannot be the name it is given as: an id, a run's id, a moving name
    ├── MissingParent      a manifest names no artifact in a role that its kind has
    ├── MissingPayload     the manifest is there, its payload is not
    ├── DamagedPayload     the bytes are not those that were written
    ├── PayloadConflict    one recipe gave two contents
    ├── RefConflict        another process moved the name first
    └── QueryRefused       the SQL is not one read-only SELECT over the documented views

Every message is one line: what happened, where, and the remedy.
"""

# ruff: noqa: A002 - `id` is the field's name everywhere; the errors are named for what happened


class StorageError(Exception):
    """Base of everything that the lake raises on purpose."""


class LakeNotWritable(StorageError):
    """The lake's folder refuses writes."""


class DiskFull(StorageError):
    """There is no room for the bytes; the partial file has been removed."""


class UnknownKind(StorageError):
    """No artifact kind has this name."""


class WrongSchema(StorageError):
    """A table does not have exactly the columns of its kind."""


class UnknownArtifact(StorageError):
    """No manifest is stored under this id or prefix."""


class UnknownRun(StorageError):
    """No run record is stored under this id."""


class DamagedRecord(StorageError):
    """The file at ``path``, of a run record or a moving name, does not hold what was written."""

    def __init__(self, path: str, remedy: str) -> None:
        super().__init__(f"{path} is damaged; {remedy}")
        self.path = path


class ForeignFile(DamagedRecord):
    """``path`` is not the lake's own file: it is a link that leads out of the lake, or no regular file."""

    def __init__(self, path: str, what: str, remedy: str) -> None:
        StorageError.__init__(self, f"{path} is {what}; {remedy}")
        self.path = path
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["ForeignFile"], tuple[str, str, str]]:
        return ForeignFile, (self.path, self.what, self.remedy)


class NoName(StorageError, ValueError):
    """A text that is no id, no run's id or no moving name is given as one: no path is built from it."""


class MissingParent(StorageError):
    """A manifest has no parent in a role that its stage requires."""

    def __init__(self, whose: str, role: str) -> None:
        super().__init__(f"{whose} names no {role} that it was made from: restore its manifest, or use a fresh lake")
        self.whose, self.role = whose, role

    def __reduce__(self) -> tuple[type["MissingParent"], tuple[str, str]]:
        return MissingParent, (self.whose, self.role)


class MissingPayload(StorageError):
    """The manifest of ``id`` exists, its payload does not."""

    def __init__(self, id: str) -> None:
        super().__init__(f"artifact {id[:12]}: its payload is gone; run the pipeline again to recompute it")
        self.id = id


class DamagedPayload(StorageError):
    """The stored bytes of ``id`` are not those that were written."""

    def __init__(self, id: str, reason: str) -> None:
        remedy = "run the pipeline again to recompute it"
        super().__init__(f"artifact {id[:12]}: its payload is damaged ({reason}); {remedy}")
        self.id = id
        self.reason = reason


class PayloadConflict(StorageError):
    """The recipe ``id`` was computed twice with different results; the first one is kept.

    ``distance`` is the largest absolute difference over all float columns, or None when the two tables
    cannot be compared number by number (other shapes, or an unreadable kept payload).
    """

    def __init__(self, id: str, kept: str, other: str, distance: float | None) -> None:
        difference = "not comparable number by number" if distance is None else f"largest difference {distance:.3g}"
        digits = next((n for n in range(12, len(kept)) if kept[:n] != other[:n]), len(kept))
        super().__init__(
            f"artifact {id[:12]}: computed again with another result ({kept[:digits]} kept, {other[:digits]} "
            f"refused, {difference}); raise the stage's version if this is meant, or recompute where it was made"
        )
        self.id = id
        self.kept = kept
        self.other = other
        self.distance = distance


class RefConflict(StorageError):
    """Another process moved the name since it was read."""


class QueryRefused(StorageError):
    """The SQL is not one read-only SELECT over the documented views, or DuckDB cannot run it."""


def first_line(error: Exception) -> str:
    """The first line of a library's message, without the details below it."""
    return str(error).partition("\n")[0]
