"""A run in one file: its record, the recipe and digest of every artifact, and its input files.

    pack.json               which parts there are, with the SHA-256 of each
    record.json             the run record
    artifacts.jsonl         the manifest of every artifact of the run, in its order; payloads stay in the lake
    spec.toml               the spec as `editflow run` takes it, for people
    inputs/<key>/<name>     the file that a key of the spec names

It is a plain zip whose parts are stored as they are, in one order and without times, so that the same run gives the
same bytes. Reading trusts nothing: every part is checked, and none is unpacked under a path that the file chose.
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
from typing import TYPE_CHECKING

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
LARGEST = 256 * 2**20
"""Bytes of a part, at most; and of all of them together four times as much."""
MOST = 200
"""Parts, at most."""
SMALLER = {"pack.json": 2**20, "record.json": 32 * 2**20, "artifacts.jsonl": 128 * 2**20, "spec.toml": 4 * 2**20}
"""The same of the parts that are read as a whole."""
ARTIFACTS = 100_000
"""Artifacts of a run, at most."""

_INPUT = re.compile(r"inputs/[\w-][\w.-]{0,99}/[\w-][\w.-]{0,99}")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_END = b"PK\x05\x06"
_END_BYTES = 22
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Input:
    """A file that a run read: a plain name, whose ending tells the format, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class RunBundle:
    """What a packed run holds. `inputs` are by the key of the spec that names them, such as `requests.source`.

    It replaces the run's lake where artifacts are compared: it has their digests, and no payload.
    """

    record: RunRecord
    manifests: tuple[Manifest, ...]
    inputs: Mapping[str, Input]
    spec: str = ""

    @cached_property
    def _by_id(self) -> dict[str, Manifest]:
        return {manifest.id: manifest for manifest in self.manifests}

    def find(self, artifact: str) -> Manifest | None:
        """The manifest of one of the run's artifacts."""
        return self._by_id.get(artifact)

    def read(self, artifact: str) -> pa.Table:
        """Raises StorageError: digests do not give the distance of two contents."""
        raise StorageError(f"another content than that of {artifact[:12]}; a packed run has no payload to measure by")

    def of_kind(self, kind: str) -> Manifest | None:
        """The first artifact of a kind."""
        return next((manifest for manifest in self.manifests if manifest.kind == kind), None)


@dataclass(frozen=True)
class _Index:
    """What pack.json holds: the parts that are inputs by their key, and the SHA-256 of every other part."""

    pack: int
    run: str
    inputs: Mapping[str, str]
    sha256: Mapping[str, str]


def write_bundle(bundle: RunBundle) -> bytes:
    """The file of a packed run; the same bytes for the same run, on every machine."""
    inputs = {key: f"inputs/{key}/{found.name}" for key, found in sorted(bundle.inputs.items())}
    parts = {
        "record.json": _json(asdict(bundle.record)),
        "artifacts.jsonl": b"".join(_line(asdict(manifest)) for manifest in bundle.manifests),
        "spec.toml": bundle.spec.encode(),
        **{inputs[key]: found.data for key, found in sorted(bundle.inputs.items())},
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
    """The packed run of a file. Raises UnknownSource for no file, BadBundle for any other file or a changed one.

    Cost: one pass over the file, all of which is then in memory.
    """
    if not path.is_file():
        raise UnknownSource(f"no file {path}: give a run, or a file that `editflow export-run` wrote")
    try:
        parts = _parts(path)
        index = _index(path, parts)
        record = read_record(RunRecord, _checked(path, parts, index, "record.json"))
        _check_record(path, record)
        lines = _checked(path, parts, index, "artifacts.jsonl").splitlines()
        if len(lines) > ARTIFACTS:
            raise BadBundle(path, f"it has {len(lines):,} artifacts, where {ARTIFACTS:,} are the most")
        manifests = tuple(read_record(Manifest, line) for line in lines)
        _check_recipes(path, record, index, manifests)
    except (zipfile.BadZipFile, RuntimeError, EOFError, struct.error, OSError, MemoryError) as error:
        raise BadBundle(path, first_line(error)) from None  # encrypted, cut short, nested too deep, …
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise BadBundle(path, f"its record is not readable ({first_line(error)})") from None
    inputs = {
        key: Input(name.rpartition("/")[2], _checked(path, parts, index, name)) for key, name in index.inputs.items()
    }
    return RunBundle(record, manifests, inputs, _checked(path, parts, index, "spec.toml").decode(errors="replace"))


def _parts(path: Path) -> dict[str, bytes]:
    """The parts by name; nothing is read before its size and name are found to be those of a pack."""
    _check_frame(path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if "pack.json" not in names:
            raise BadBundle(path, "there is no pack.json in it")
        if len(names) > MOST or len(set(names)) != len(names):
            raise BadBundle(path, f"{len(names)} parts, some of one name" if len(names) <= MOST else "too many parts")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise BadBundle(path, f"{entry.filename} is not stored as it is")
            if entry.orig_filename != entry.filename or stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG}:
                raise BadBundle(path, f"{entry.filename} is no plain file")
        sizes = [entry.file_size for entry in entries]
        if max(sizes) > LARGEST or sum(sizes) > min(4 * LARGEST, path.stat().st_size):
            raise BadBundle(path, f"its parts claim {sum(sizes):,} bytes")
        if large := [entry.filename for entry in entries if entry.file_size > SMALLER.get(entry.filename, LARGEST)]:
            raise BadBundle(path, f"{large[0]} has more bytes than it may")
        return {entry.filename: archive.read(entry) for entry in entries}


def _check_frame(path: Path) -> None:
    """A zip from its first byte to its last, with a directory of few entries: nothing before, behind or between it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - _END_BYTES))
        end = file.read(_END_BYTES)
    if not start.startswith(b"PK\x03\x04") or not end.startswith(_END) or end[-2:] != b"\0\0":
        raise BadBundle(path, "it is not a zip file from its first byte to its last")
    entries, bulk, place = struct.unpack("<HII", end[10:20])
    if entries > MOST or bulk > 2**20 or bulk + place + _END_BYTES != size:
        raise BadBundle(path, f"its directory of {entries:,} parts has another place or size than a pack's")


def _check_record(path: Path, record: RunRecord) -> None:
    """The fields on run and machine must be short and plain: they are printed, and compared with this machine's."""
    if not _RUN.fullmatch(record.run_id):
        raise BadBundle(path, "the id of its run is none")
    for key, value in record.environment.items():
        plain = isinstance(value, str | int | float | bool | None)
        if not plain or len(key) > 100 or len(str(value)) > 1000 or len(record.environment) > 200:
            raise BadBundle(path, f"environment.{key[:100]} of its record is no plain value")


def _index(path: Path, parts: Mapping[str, bytes]) -> _Index:
    """What the pack says is in it, when that is all there is, under names that lead nowhere."""
    said = json.loads(parts["pack.json"])
    if isinstance(said, dict) and said.get("pack") != FORMAT:
        raise BadBundle(path, f"it has format {said.get('pack')!r}, and this version of EditFlow reads {FORMAT}")
    index = read_record(_Index, parts["pack.json"])
    wanted = {"record.json", "artifacts.jsonl", "spec.toml", *index.inputs.values()}
    for key, name in index.inputs.items():
        if not _INPUT.fullmatch(name) or name.split("/")[1] != key:
            raise BadBundle(path, f"{name!r} is no name for the file of {key!r}")
    if other := sorted(wanted ^ set(index.sha256)) or sorted((wanted | {"pack.json"}) ^ set(parts)):
        raise BadBundle(path, f"{other[0]!r} is missing, or does not belong there")
    return index


def _checked(path: Path, parts: Mapping[str, bytes], index: _Index, name: str) -> bytes:
    if hashlib.sha256(parts[name]).hexdigest() != index.sha256[name]:
        raise BadBundle(path, f"{name} has been changed since it was packed")
    return parts[name]


def _check_recipes(path: Path, record: RunRecord, index: _Index, manifests: tuple[Manifest, ...]) -> None:
    """The artifacts are those of the run, and each has the id of its recipe."""
    if record.run_id != index.run or [use.artifact for use in record.uses] != [manifest.id for manifest in manifests]:
        raise BadBundle(path, f"its artifacts are not those of run {record.run_id}")
    for made in manifests:
        if recipe_id(made.kind, made.version, made.spec, made.parents) != made.id:
            raise BadBundle(path, f"artifact {made.id[:12]} has the recipe of another")


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _line(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n").encode()
