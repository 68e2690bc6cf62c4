"""The lake: artifacts under the id of their recipe, written once, whole or not at all.

    <lake>/artifacts/<id[:2]>/<id>/payload-<digest[:16]>.parquet   the table
                                  /manifest.json                   its creation is the commit
    <lake>/conflicts/<id>-<digest[:16]>.json                       a recipe that gave two contents

The payload's name carries the digest of its content, so two processes computing one recipe at the same time
never overwrite each other's bytes: the process that creates the manifest first decides which payload counts.
"""

# ruff: noqa: A002 - `id` is the field's name everywhere in the lake

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
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
)
from editflow.storage.files import Files
from editflow.storage.json_records import is_id, read_record, record_json

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArtifactRef", "Lake", "Manifest", "Parents"]

Parents = Mapping[str, str | Sequence[str]]
OTHER_RECIPE = "is that of another recipe"
"""For a manifest whose id is not that of its folder."""
_UNNAMEABLE = re.compile(r"%[0-9A-Fa-f]{2}|\\")


class Lake:
    """A lake. Cheap to open, safe to share between processes; holds no lock and no state."""

    def __init__(self, files: Files) -> None:
        self.files = files

    @classmethod
    def open(cls, uri: str | Path, *, create: bool = True, allowed_roots: Sequence[str] = ()) -> "Lake":
        """The lake at a folder or URL; LakeNotWritable when it is absent and cannot or may not be made.

        So it is where the folder's name cannot be: Delta reads `%41` as A and a backslash as a slash, in another folder
        than this. Its links may lead into the folders that are ``lent`` to it.
        """
        files = Files(uri, allowed_roots)
        if files.local and (wrong := _UNNAMEABLE.search(files.root)):
            raise LakeNotWritable(
                f"lake {files.root!r}: its index cannot be kept in a folder whose path has {wrong[0]!r} in it; rename "
                "the folder, or give another"
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
        """The manifest when artifact and payload are there, else None. Costs one read and one stat."""
        manifest = self._load(id)
        if manifest is None:
            return None
        # Another size may still be the right content (see _fault): only then are the bytes read.
        if self.files.size(manifest.payload) != manifest.bytes and self.content_fault(manifest) is not None:
            return None
        return manifest

    def find_and_touch(self, id: str) -> Manifest | None:
        """`find`, and protect the result from garbage collection: see `touch`."""
        self.touch(id)  # before the look: what is found after it stays
        return self.find(id)

    def touch(self, id: str) -> None:
        """Protect an artifact from garbage collection for a day and for as long as an older run is running."""
        self.files.touch(manifest_name(id))

    def load_manifest(self, id: str) -> Manifest | None:
        """The manifest of a whole id, whether or not its payload exists; None if there is none."""
        return self._load(id)

    def manifest(self, id: str) -> Manifest:
        """The manifest of an id or a unique prefix of six digits or more; raises UnknownArtifact."""
        manifest = self._load(self.resolve(id))
        if manifest is None:
            raise UnknownArtifact(f"no artifact {id} in {self.uri}; `editflow runs` lists what there is")
        return manifest

    def resolve(self, prefix: str) -> str:
        """The whole id of a unique prefix of at least six digits; raises UnknownArtifact."""
        if is_id(prefix):
            return prefix
        found = []
        if isinstance(prefix, str) and len(prefix) >= 6 and prefix.isalnum():
            found = [name for name in self.files.list(f"artifacts/{prefix[:2]}") if name.startswith(prefix)]
            found = [name for name in found if self.is_committed(name)]
        if len(found) == 1:
            return found[0]
        why = f"{len(found)} artifacts begin so" if found else "none begins so"
        raise UnknownArtifact(f"artifact {prefix!r} in {self.uri}: {why}; give a unique prefix of 6 or more digits")

    def manifests(self) -> Iterator[Manifest]:
        """Every committed artifact, by id; payloads are not looked at."""
        for id_ in self.ids():
            manifest = self._load(id_)
            if manifest is not None:
                yield manifest

    def ids(self) -> Iterator[str]:
        """The ids that have a folder, sorted; a folder without a manifest is an unfinished write.

        Folders whose name is not an id are not among them: storage/maintenance/foreign_files.py reports these.
        """
        for shard in self.files.list("artifacts"):
            yield from (name for name in self.files.list(f"artifacts/{shard}") if is_id(name) and name[:2] == shard)

    def is_committed(self, id: str) -> bool:
        """Whether a manifest exists under this whole id."""
        return is_id(id) and self.files.exists(manifest_name(id))

    def read(self, id: str, columns: Sequence[str] | None = None, *, layer: int | None = None) -> "pa.Table":
        """The table of an artifact (id or prefix), or its rows of one `layer`; the file is checked byte by byte.

        Only the row groups of that layer are decoded. Raises UnknownArtifact, MissingPayload and DamagedPayload. Cost:
        one pass of SHA-256 over the file, once in a process while its size and times are unchanged.
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
        """What is wrong with an artifact's payload, every byte read; None when all is well. Raises UnknownArtifact."""
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

        When the recipe is stored already with the same content, its first reference is returned (a missing or
        damaged payload restored). Raises PayloadConflict when the content differs, WrongSchema, DiskFull,
        LakeNotWritable. Killed at any moment, it leaves either the whole artifact or nothing visible.
        """
        kind_named(kind).check(table)
        id_, digest = recipe_id(kind, version, spec, parents), table_digest(table)
        self.touch(id_)  # a writer that finds it will build on it
        kept = self._load(id_)
        if kept is not None:
            return self._agree(kept, digest, table)
        recipe = json.loads(canonical_json({"spec": spec, "parents": parents}))
        draft = Manifest(
            id_, kind, version, recipe["spec"], recipe["parents"], digest, table.num_rows, 0, "",
            datetime.now(UTC).isoformat(timespec="milliseconds"), created_by, seconds,
            dict(environment or {}), dict(about or {}),
        )  # fmt: skip
        for _, parent in parent_pairs(parents):
            self.touch(parent)
        read_record(Manifest, record_json(asdict(draft)))  # or it could not be read back
        size, sha256 = self.files.write_parquet(draft.payload, table)
        manifest = asdict(draft) | {"bytes": size, "sha256": sha256}
        try:
            self.files.create(manifest_name(id_), record_json(manifest))
        except FileExistsError:
            kept = self.manifest(id_)
            if kept.digest != digest:
                self.files.remove(draft.payload)
            return self._agree(kept, digest, table)
        except StorageError:
            # Otherwise an unreferenced payload would keep the disk full.
            if not self.is_committed(id_):
                self.files.remove(draft.payload)
            raise
        return Manifest(**manifest).ref

    def discard_payload(self, id: str) -> None:
        """Move a payload aside so that ``find`` misses and the artifact is recomputed.

        The manifest stays, unless it is itself unreadable or wrong: then the manifest is moved aside.
        """
        try:
            made = self._load(id)
        except DamagedPayload:
            made = None
        is_valid = made is not None and not contradicts_payload(self.files, made)
        self.files.set_aside(made.payload if made is not None and is_valid else manifest_name(id))

    def _agree(self, kept: Manifest, digest: str, table: "pa.Table") -> ArtifactRef:
        """The kept reference, its payload restored, when the new content is equal; else raises the conflict."""
        if kept.digest == digest:
            if self.content_fault(kept) is not None:
                self.files.write_parquet(kept.payload, table)
            return kept.ref
        from editflow.storage.artifacts.codec import max_distance

        if self.files.parquet_digest(table) == kept.sha256 or contradicts_payload(self.files, kept):
            self.files.set_aside(manifest_name(kept.id))
            why = "its manifest.json has another digest than its payload, and was set aside"
            raise DamagedPayload(kept.id, why)
        try:
            distance = max_distance(self.read(kept.id), table)
        except (MissingPayload, DamagedPayload):
            distance = None
        raise record_conflict(self.files, kept, digest, distance)

    def content_fault(self, manifest: Manifest) -> MissingPayload | DamagedPayload | None:
        """What is wrong with the payload, if anything.

        Bytes that differ from the first ones may still hold the right content: a payload restored by another writer.
        """
        import pyarrow as pa
        from pyarrow import parquet

        try:
            buffer = self.files.buffer(manifest.payload)
        except FileNotFoundError:
            return MissingPayload(manifest.id)
        except ForeignFile as error:
            named = self._named(error, manifest.id, manifest.payload)
            if isinstance(named, DamagedPayload):
                return named
            raise
        if hashlib.sha256(buffer).hexdigest() == manifest.sha256:
            return None
        try:
            digest = table_digest(parquet.ParquetFile(pa.BufferReader(buffer)).read())
        except (pa.ArrowException, OSError, ValueError, TypeError) as error:
            return DamagedPayload(manifest.id, f"not readable as Parquet: {str(error).partition(chr(10))[0]}")
        if digest == manifest.digest:
            return None
        return DamagedPayload(manifest.id, "its content has another digest")

    def _load(self, id: str) -> Manifest | None:
        """The manifest under an id; None where none is. Raises DamagedPayload, also for one of another id."""
        if not is_id(id):
            return None
        name = manifest_name(id)
        try:
            found = read_record(Manifest, self.files.read(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ForeignFile as error:
            raise self._named(error, id, name) from error
        except ValueError as error:
            raise DamagedPayload(id, "its manifest.json is not readable") from error
        if found.id != id:
            raise DamagedPayload(id, f"its manifest.json {OTHER_RECIPE}")
        return found

    def _named(self, error: ForeignFile, id: str, name: str) -> StorageError:
        """The error of an artifact whose file is foreign; for a foreign folder on the way, that folder's own error."""
        if error.path != self.files.path(name):
            return error
        return DamagedPayload(id, f"its {name.rpartition('/')[2]} is {error.what}")
