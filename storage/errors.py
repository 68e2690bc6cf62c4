"""Errors of the lake.

Every message is one line: what happened, where, and the remedy.
"""

# ruff: noqa: A002 - `id` is the name of the field everywhere in the lake


class StorageError(Exception):
    """Base of all errors that the lake raises."""


class LakeNotWritable(StorageError):
    """The lake's folder refuses writes."""


class DiskFull(StorageError):
    """There is no space for the file; the partial file has been removed."""


class UnknownKind(StorageError):
    """No artifact kind has this name."""


class WrongSchema(StorageError):
    """A table does not have exactly the columns of its kind."""


class UnknownArtifact(StorageError):
    """No manifest is stored under this id or prefix."""


class UnknownRun(StorageError):
    """No run record is stored under this id."""


class DamagedRecord(StorageError):
    """The file at ``path``, of a run record or a ref, does not have the content that was written."""

    def __init__(self, path: str, remedy: str) -> None:
        super().__init__(f"{path} is damaged; {remedy}")
        self.path = path


class ForeignFile(DamagedRecord):
    """``path`` is not a file of the lake: it is a link out of the lake, or not a regular file."""

    def __init__(self, path: str, what: str, remedy: str) -> None:
        StorageError.__init__(self, f"{path} is {what}; {remedy}")
        self.path = path
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["ForeignFile"], tuple[str, str, str]]:
        return ForeignFile, (self.path, self.what, self.remedy)


class InvalidName(StorageError, ValueError):
    """A text cannot be an artifact id, a run id or the name of a ref, so that no path is built from it."""


class MissingParent(StorageError):
    """A manifest has no parent in a role that its stage requires."""

    def __init__(self, whose: str, role: str) -> None:
        super().__init__(f"{whose} has no parent in the role {role}: restore its manifest, or use a fresh lake")
        self.whose, self.role = whose, role

    def __reduce__(self) -> tuple[type["MissingParent"], tuple[str, str]]:
        return MissingParent, (self.whose, self.role)


class MissingPayload(StorageError):
    """The manifest of ``id`` exists, its payload does not."""

    def __init__(self, id: str) -> None:
        super().__init__(f"artifact {id[:12]}: its payload is missing; run the pipeline again to recompute it")
        self.id = id


class DamagedPayload(StorageError):
    """The payload of ``id`` does not have the content that was written."""

    def __init__(self, id: str, reason: str) -> None:
        remedy = "run the pipeline again to recompute it"
        super().__init__(f"artifact {id[:12]}: its payload is damaged ({reason}); {remedy}")
        self.id = id
        self.reason = reason


class PayloadConflict(StorageError):
    """The recipe ``id`` was computed twice with different results; the first result is kept.

    ``distance`` is the largest absolute difference over all float columns, or None if the tables cannot be compared
    number by number: their shapes differ, or the kept payload is unreadable.
    """

    def __init__(self, id: str, kept: str, other: str, distance: float | None) -> None:
        difference = "not comparable number by number" if distance is None else f"largest difference {distance:.3g}"
        digits = next((n for n in range(12, len(kept)) if kept[:n] != other[:n]), len(kept))
        super().__init__(
            f"artifact {id[:12]}: recomputed with a different result ({kept[:digits]} kept, {other[:digits]} "
            f"refused, {difference}); recompute on the machine that made it, or use a fresh lake; developers: raise "
            "the stage's version"
        )
        self.id = id
        self.kept = kept
        self.other = other
        self.distance = distance


class RefConflict(StorageError):
    """Another process has set the ref since it was read."""


class QueryRefused(StorageError):
    """The SQL is not one read-only SELECT over the documented views, or DuckDB cannot run it."""


def first_line(error: Exception) -> str:
    """The first line of a library's message, without the details below it."""
    return str(error).partition("\n")[0]
