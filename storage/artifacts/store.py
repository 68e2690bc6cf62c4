"""The lake: artifacts stored under the id of their recipe, written once and atomically.

    <lake>/artifacts/<id[:2]>/<id>/payload-<digest[:16]>.parquet   the table
                                  /manifest.json                   its creation is the commit
    <lake>/conflicts/<id>-<digest[:16]>.json                       a recipe that gave two different contents

The payload's name contains the digest of its content, so two processes that compute a recipe at the same time never
overwrite each other's files: the process that creates the manifest first decides which payload is kept.
"""

# ruff: noqa: A002 - `id` is the name of the field everywhere in the lake

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editflow.storage.artifacts.checked_payloads import is_checked, remember, state_of
from editflow.storage.artifacts.conflicts import record_conflict
from editflow.storage.artifacts.identity import canonical_json, parent_pairs, recipe_id, table_digest
from editflow.storage.artifacts.kinds import kind as kind_named
from editflow.storage.artifacts.manifest import ArtifactRef, Manifest, manifest_name
from editflow.storage.artifacts.payload_check import contradicts_payload
from editflow.storage.errors import (
    DamagedPayload,
    ForeignFile,
    LakeNotWritable,
    MissingPayload,
    StorageError,
    UnknownArtifact,
    first_line,
)
from editflow.storage.files import Files
from editflow.storage.json_records import is_id, now, read_record, record_json

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArtifactRef", "Lake", "Manifest", "Parents"]

Parents = Mapping[str, str | Sequence[str]]
OTHER_RECIPE = "is from another recipe"
"""Why a manifest is damaged whose id is not the id of its folder."""
_AMBIGUOUS = re.compile(r"%[0-9A-Fa-f]{2}|\\")


class Lake:
    """A lake. Cheap to open and safe to share between processes; it has no locks and no state."""

    def __init__(self, files: Files) -> None:
        self.files = files

    @classmethod
    def open(cls, uri: str | Path, *, create: bool = True, allowed_roots: Sequence[str] = ()) -> "Lake":
        """The lake in a folder or at a URL, created if `create`. Its links may lead into the ``allowed_roots``.

        Raises LakeNotWritable if there is no lake and it cannot or may not be created, and for a path with `%41` or a
        backslash: Delta reads these as A and a slash, and would use another folder.
        """
        files = Files(uri, allowed_roots)
        if files.local and (wrong := _AMBIGUOUS.search(files.root)):
            raise LakeNotWritable(
                f"lake {files.root!r}: its index cannot be in a folder whose path contains {wrong[0]!r}; rename "
                "the folder, or choose another"
            )
        if create:
            files.make_folder("artifacts")
        elif not files.list(""):
            raise LakeNotWritable(f"no lake at {files.root}; run a pipeline there first, or check the path")
        return cls(files)

    @property
    def uri(self) -> str:
        return self.files.uri

    def find(self, id: str) -> Manifest | None:
        """The manifest if artifact and payload exist, else None. Cost: one read and one stat."""
        manifest = self.load_manifest(id)
        if manifest is None:
            return None
        # A payload of another size may still have the right content (see `content_fault`); only then it is read.
        if self.files.size(manifest.payload) != manifest.bytes and self.content_fault(manifest) is not None:
            return None
        return manifest

    def find_and_touch(self, id: str) -> Manifest | None:
        """`find`, and protect the result from garbage collection: see `touch`."""
        self.touch(id)  # first, so that an artifact that is found cannot be removed
        return self.find(id)

    def touch(self, id: str) -> None:
        """Protect an artifact from garbage collection for a day and while any run that began earlier is running."""
        self.files.touch(manifest_name(id))

    def manifest(self, id: str) -> Manifest:
        """The manifest of an id, or of a unique prefix of at least six digits. Raises UnknownArtifact."""
        manifest = self.load_manifest(self.resolve(id))
        if manifest is None:
            raise UnknownArtifact(f"no artifact {id} in {self.uri}; `editflow show RUN` lists artifacts")
        return manifest

    def resolve(self, prefix: str) -> str:
        """The full id of a unique prefix of at least six digits. Raises UnknownArtifact."""
        if is_id(prefix):
            return prefix
        found = []
        if isinstance(prefix, str) and len(prefix) >= 6 and prefix.isalnum():
            found = [name for name in self.files.list(f"artifacts/{prefix[:2]}") if name.startswith(prefix)]
            found = [name for name in found if self.is_committed(name)]
        if len(found) == 1:
            return found[0]
        why = f"{len(found)} artifacts begin with it" if found else "no artifact begins with it"
        raise UnknownArtifact(f"artifact {prefix!r} in {self.uri}: {why}; give a unique prefix of 6 or more digits")

    def manifests(self) -> Iterator[Manifest]:
        """Every committed artifact, sorted by id; payloads are not read."""
        return filter(None, map(self.load_manifest, self.ids()))

    def ids(self) -> Iterator[str]:
        """The ids that have a folder, sorted; a folder without a manifest is an unfinished write.

        Folders whose names are not ids are skipped: storage/maintenance/foreign_files.py reports these.
        """
        for shard in self.files.list("artifacts"):
            yield from (name for name in self.files.list(f"artifacts/{shard}") if is_id(name) and name[:2] == shard)

    def is_committed(self, id: str) -> bool:
        """Whether a manifest exists under this full id."""
        return is_id(id) and self.files.exists(manifest_name(id))

    def read(self, id: str, columns: Sequence[str] | None = None, *, layer: int | None = None) -> "pa.Table":
        """The table of an artifact (id or prefix), or only the rows of one `layer`, whose row groups alone are decoded.

        Every byte of the file is checked. Raises UnknownArtifact, MissingPayload and DamagedPayload. Cost: SHA-256 of
        the file, once per process while its size and times are unchanged.
        """
        import pyarrow as pa
        from pyarrow import parquet

        from editflow.storage.artifacts.codec import rows_of_layer

        manifest = self.manifest(id)
        if not is_checked(self.files, manifest):
            state = state_of(self.files, manifest)
            if (fault := self.content_fault(manifest)) is not None:
                raise fault
            remember(self.files, manifest, state)
        file = parquet.ParquetFile(pa.BufferReader(self.files.buffer(manifest.payload)))
        return file.read(columns=columns and list(columns)) if layer is None else rows_of_layer(file, layer)

    def fault(self, id: str) -> MissingPayload | DamagedPayload | None:
        """What is wrong with an artifact's payload; None if it is valid. Reads every byte. Raises UnknownArtifact."""
        return self.content_fault(self.manifest(id))

    def write(
        self,
        kind: str,
        version: int,
        spec: Mapping[str, Any],
        parents: Parents,
        table: "pa.Table",
        *,
        created_by: str | None = None,
        seconds: float = 0.0,
        environment: Mapping[str, Any] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> ArtifactRef:
        """Store ``table`` as the artifact of this recipe and return its reference.

        If the recipe is already stored with the same content, return the first reference, and restore a missing or
        damaged payload. If this process is killed, either the whole artifact is visible or nothing is. Raises
        PayloadConflict if the content differs, WrongSchema, DiskFull and LakeNotWritable.
        """
        kind_named(kind).check(table)
        id_, digest = recipe_id(kind, version, spec, parents), table_digest(table)
        self.touch(id_)  # if it exists, the caller will build on it
        kept = self.load_manifest(id_)
        if kept is not None:
            return self._reuse_or_conflict(kept, digest, table)
        recipe = json.loads(canonical_json({"spec": spec, "parents": parents}))
        draft = Manifest(
            id_, kind, version, recipe["spec"], recipe["parents"], digest, table.num_rows, 0, "",
            now(), created_by, seconds, dict(environment or {}), dict(about or {}),
        )  # fmt: skip
        for _, parent in parent_pairs(parents):
            self.touch(parent)
        read_record(Manifest, record_json(asdict(draft)))  # fail now if it could not be read later
        size, sha256 = self.files.write_parquet(draft.payload, table)
        manifest = asdict(draft) | {"bytes": size, "sha256": sha256}
        try:
            self.files.create(manifest_name(id_), record_json(manifest))
        except FileExistsError:
            kept = self.manifest(id_)
            if kept.digest != digest:
                self.files.remove(draft.payload)
            return self._reuse_or_conflict(kept, digest, table)
        except StorageError:
            # An unreferenced payload would keep the disk full.
            if not self.is_committed(id_):
                self.files.remove(draft.payload)
            raise
        return Manifest(**manifest).ref

    def discard_payload(self, id: str) -> None:
        """Set a payload aside, so that ``find`` returns None and the artifact is recomputed.

        If the manifest itself is unreadable or wrong, the manifest is set aside instead.
        """
        try:
            manifest = self.load_manifest(id)
        except DamagedPayload:
            manifest = None
        is_valid = manifest is not None and not contradicts_payload(self.files, manifest)
        self.files.set_aside(manifest.payload if manifest is not None and is_valid else manifest_name(id))

    def _reuse_or_conflict(self, kept: Manifest, digest: str, table: "pa.Table") -> ArtifactRef:
        """The kept reference, with its payload restored, if the new content is equal; else raise PayloadConflict."""
        if kept.digest == digest:
            if self.content_fault(kept) is not None:
                self.files.write_parquet(kept.payload, table)
            return kept.ref
        from editflow.storage.artifacts.codec import max_distance

        if self.files.parquet_digest(table) == kept.sha256 or contradicts_payload(self.files, kept):
            self.files.set_aside(manifest_name(kept.id))
            raise DamagedPayload(kept.id, "its manifest.json had another digest than its payload and was set aside")
        try:
            distance = max_distance(self.read(kept.id), table)
        except (MissingPayload, DamagedPayload):
            distance = None
        raise record_conflict(self.files, kept, digest, distance)

    def content_fault(self, manifest: Manifest) -> MissingPayload | DamagedPayload | None:
        """What is wrong with a payload; None if its content is right.

        The bytes may differ from those first written: another version of the library may have restored the payload.
        """
        import pyarrow as pa
        from pyarrow import parquet

        try:
            buffer = self.files.buffer(manifest.payload)
        except FileNotFoundError:
            return MissingPayload(manifest.id)
        except ForeignFile as error:
            damaged = self._as_damage(error, manifest.id, manifest.payload)
            if isinstance(damaged, DamagedPayload):
                return damaged
            raise
        if hashlib.sha256(buffer).hexdigest() == manifest.sha256:
            return None
        try:
            digest = table_digest(parquet.ParquetFile(pa.BufferReader(buffer)).read())
        except (pa.ArrowException, OSError, ValueError, TypeError) as error:
            return DamagedPayload(manifest.id, f"not readable as Parquet: {first_line(error)}")
        if digest == manifest.digest:
            return None
        return DamagedPayload(manifest.id, "its content has another digest")

    def load_manifest(self, id: str) -> Manifest | None:
        """The manifest of a full id, whether or not its payload exists; None if there is none.

        Raises DamagedPayload, also for a manifest of another id.
        """
        if not is_id(id):
            return None
        name = manifest_name(id)
        try:
            found = read_record(Manifest, self.files.read(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ForeignFile as error:
            raise self._as_damage(error, id, name) from error
        except ValueError as error:
            raise DamagedPayload(id, "its manifest.json is not readable") from error
        if found.id != id:
            raise DamagedPayload(id, f"its manifest.json {OTHER_RECIPE}")
        return found

    def _as_damage(self, error: ForeignFile, id: str, name: str) -> StorageError:
        """The DamagedPayload of an artifact whose file is foreign; for a foreign folder above it, the error itself."""
        if error.path != self.files.path(name):
            return error
        return DamagedPayload(id, f"its {name.rpartition('/')[2]} is {error.what}")
