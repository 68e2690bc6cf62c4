"""A run in one file: its record, the recipe and digest of every artifact, and its input files.

    pack.json               the parts, with the SHA-256 of each
    record.json             the run record
    artifacts.jsonl         the manifest of every artifact of the run, in its order; payloads stay in the lake
    spec.toml               the spec as `editflow run` takes it, for people
    inputs/<key>/<name>     the file that a key of the spec names

The file is a zip archive without compression, in a fixed order and without times, so the same run gives the same bytes.
A bundle may come from anyone: every part is checked, and none is written under a path that the file chooses.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editflow.editing.errors import first_line
from editflow.storage.artifacts.identity import recipe_id
from editflow.storage.artifacts.manifest import Manifest
from editflow.storage.errors import StorageError
from editflow.storage.json_records import read_record
from editflow.storage.records.runs import RunRecord
from editflow.tasks.errors import BadBundle, UnknownSource

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
MAX_PARTS = 200
MAX_PART_BYTES = 256 * 2**20
MAX_BYTES = 4 * MAX_PART_BYTES
"""Maximum size of all parts together."""
MAX_BYTES_OF = {"pack.json": 2**20, "record.json": 32 * 2**20, "artifacts.jsonl": 128 * 2**20, "spec.toml": 4 * 2**20}
"""Lower limits of the parts that are parsed."""
MAX_ARTIFACTS = 100_000

_INPUT = re.compile(r"inputs/[\w-][\w.-]{0,99}/[\w-][\w.-]{0,99}")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_END = b"PK\x05\x06"
_END_BYTES = 22
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class InputFile:
    """A file that a run read: a plain name, whose suffix gives the format, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class RunBundle:
    """The content of a bundle. The keys of `inputs` are keys of the spec, such as `requests.source`.

    It replaces the run's lake in a comparison of artifacts: it has their digests, and no payload.
    """

    record: RunRecord
    manifests: tuple[Manifest, ...]
    inputs: Mapping[str, InputFile]
    spec: str = ""

    @cached_property
    def _by_id(self) -> dict[str, Manifest]:
        return {manifest.id: manifest for manifest in self.manifests}

    def find(self, artifact: str) -> Manifest | None:
        """The manifest of one of the run's artifacts."""
        return self._by_id.get(artifact)

    def read(self, artifact: str) -> pa.Table:
        """Raises StorageError: a bundle has no payloads."""
        raise StorageError(f"content differs from {artifact[:12]}; a bundle has no payload to measure the distance")

    def of_kind(self, kind: str) -> Manifest | None:
        """The first artifact of a kind."""
        return next((manifest for manifest in self.manifests if manifest.kind == kind), None)

    @property
    def corpus(self) -> Mapping[str, Any]:
        """The recorded digest or commit of the sampled corpus; empty if it is not recorded."""
        documents = self.of_kind("documents")
        pinned = documents.spec.get("corpus") if documents is not None else None
        return pinned if isinstance(pinned, Mapping) else {}


@dataclass(frozen=True)
class _Index:
    """The content of pack.json: the names of the input parts by key, and the SHA-256 of every other part."""

    pack: int
    run: str
    inputs: Mapping[str, str]
    sha256: Mapping[str, str]


def write_bundle(bundle: RunBundle) -> bytes:
    """The bytes of a bundle's file; the same bytes for the same run, on every machine."""
    inputs = {key: f"inputs/{key}/{file.name}" for key, file in sorted(bundle.inputs.items())}
    parts = {
        "record.json": _json(asdict(bundle.record)),
        "artifacts.jsonl": b"".join(_json_line(asdict(manifest)) for manifest in bundle.manifests),
        "spec.toml": bundle.spec.encode(),
        **{name: bundle.inputs[key].data for key, name in inputs.items()},
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    index = _Index(FORMAT, bundle.record.run_id, inputs, digests)
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"pack.json": _json(asdict(index)), **parts}.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, data)
    return file.getvalue()


def read_bundle(path: Path) -> RunBundle:
    """Read a bundle. Raises UnknownSource if there is no file, BadBundle for any other or a changed file.

    Cost: one pass; the whole file is then in memory.
    """
    if not path.is_file():
        raise UnknownSource(f"no file {path}: give a run, or a file that `editflow export-run` wrote")
    try:
        parts = _read_parts(path)
        index = _read_index(path, parts)
        _check_digests(path, parts, index)
        record = read_record(RunRecord, parts["record.json"])
        _check_record(path, record)
        lines = parts["artifacts.jsonl"].splitlines()
        if len(lines) > MAX_ARTIFACTS:
            raise BadBundle(path, f"it has {len(lines):,} artifacts, and the maximum is {MAX_ARTIFACTS:,}")
        manifests = tuple(read_record(Manifest, line) for line in lines)
        _check_recipes(path, record, index, manifests)
    except (zipfile.BadZipFile, RuntimeError, EOFError, struct.error, OSError, MemoryError) as error:
        raise BadBundle(path, first_line(error)) from None  # encrypted, truncated, nested too deeply, …
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise BadBundle(path, f"its record is not readable ({first_line(error)})") from None
    inputs = {key: InputFile(name.rpartition("/")[2], parts[name]) for key, name in index.inputs.items()}
    return RunBundle(record, manifests, inputs, parts["spec.toml"].decode(errors="replace"))


def _read_parts(path: Path) -> dict[str, bytes]:
    """The parts by name. Sizes and names are checked before any part is read."""
    _check_frame(path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if "pack.json" not in names:
            raise BadBundle(path, "it has no pack.json")
        if len(names) > MAX_PARTS:
            raise BadBundle(path, "it has too many parts")
        if len(set(names)) != len(names):
            raise BadBundle(path, "two parts have the same name")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise BadBundle(path, f"{entry.filename} is compressed")
            if entry.orig_filename != entry.filename or stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG}:
                raise BadBundle(path, f"{entry.filename} is not a plain file")
        sizes = [entry.file_size for entry in entries]
        if max(sizes) > MAX_PART_BYTES or sum(sizes) > min(MAX_BYTES, path.stat().st_size):
            raise BadBundle(path, f"its parts claim {sum(sizes):,} bytes")
        for entry in entries:
            if entry.file_size > MAX_BYTES_OF.get(entry.filename, MAX_PART_BYTES):
                raise BadBundle(path, f"{entry.filename} is too large")
        return {entry.filename: archive.read(entry) for entry in entries}


def _check_frame(path: Path) -> None:
    """Check that the file is a zip archive with a small directory and no bytes before, between or after its parts."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - _END_BYTES))
        end = file.read(_END_BYTES)
    if not start.startswith(b"PK\x03\x04") or not end.startswith(_END) or end[-2:] != b"\0\0":
        raise BadBundle(path, "it is not a zip file from its first byte to its last")
    entries, directory_bytes, offset = struct.unpack("<HII", end[10:20])
    if entries > MAX_PARTS or directory_bytes > 2**20 or directory_bytes + offset + _END_BYTES != size:
        raise BadBundle(path, f"its directory of {entries:,} parts has an invalid place or size")


def _check_record(path: Path, record: RunRecord) -> None:
    """The run's id and environment must be short, plain values: they are printed, and compared with this machine's."""
    if not _RUN.fullmatch(record.run_id):
        raise BadBundle(path, "the id of its run is invalid")
    for key, value in record.environment.items():
        plain = isinstance(value, str | int | float | bool | None)
        if not plain or len(key) > 100 or len(str(value)) > 1000 or len(record.environment) > 200:
            raise BadBundle(path, f"environment.{key[:100]} of its record is not a plain value")


def _read_index(path: Path, parts: Mapping[str, bytes]) -> _Index:
    """The index, after a check that it lists exactly the parts, under names that lead to no other folder."""
    raw = json.loads(parts["pack.json"])
    if isinstance(raw, dict) and raw.get("pack") != FORMAT:
        raise BadBundle(path, f"it has format {raw.get('pack')!r}, and this version of EditFlow reads {FORMAT}")
    index = read_record(_Index, parts["pack.json"])
    expected = {"record.json", "artifacts.jsonl", "spec.toml", *index.inputs.values()}
    for key, name in index.inputs.items():
        if not _INPUT.fullmatch(name) or name.split("/")[1] != key:
            raise BadBundle(path, f"{name!r} is not a valid name for the file of {key!r}")
    if wrong := sorted(expected ^ set(index.sha256)) or sorted((expected | {"pack.json"}) ^ set(parts)):
        raise BadBundle(path, f"{wrong[0]!r} is missing or unexpected")
    return index


def _check_digests(path: Path, parts: Mapping[str, bytes], index: _Index) -> None:
    for name, digest in index.sha256.items():
        if hashlib.sha256(parts[name]).hexdigest() != digest:
            raise BadBundle(path, f"{name} has changed since it was exported")


def _check_recipes(path: Path, record: RunRecord, index: _Index, manifests: tuple[Manifest, ...]) -> None:
    """The artifacts must be those of the run, and each must have the id of its recipe."""
    if record.run_id != index.run or [use.artifact for use in record.uses] != [manifest.id for manifest in manifests]:
        raise BadBundle(path, f"its artifacts are not those of run {record.run_id}")
    for made in manifests:
        if recipe_id(made.kind, made.version, made.spec, made.parents) != made.id:
            raise BadBundle(path, f"artifact {made.id[:12]} does not have the id of its recipe")


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _json_line(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n").encode()
