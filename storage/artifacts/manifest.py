"""Records of an artifact: a small reference to pass around, and the full manifest."""

# ruff: noqa: A002 - `id` is the name of the field everywhere in the lake

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from editflow.storage.artifacts.identity import only_parent
from editflow.storage.errors import InvalidName
from editflow.storage.json_records import About, Count, Hash, Id, KindName, RunId, Seconds, Time, is_id


@dataclass(frozen=True)
class ArtifactRef:
    """The reference that tasks pass to each other instead of tensors.

    ``digest`` is the digest of the logical content, ``bytes`` the size of the payload on disk.
    """

    id: Id
    kind: KindName
    digest: Id
    rows: Count
    bytes: Count

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Manifest:
    """Everything known about an artifact except its table. Times are UTC in ISO 8601, ``seconds`` wall-clock time.

    ``kind, version, spec, parents`` are the recipe, which hashes to ``id``. ``sha256`` is the hash of the payload file
    as first written. The rest is recorded and never hashed.
    """

    id: Id
    kind: KindName
    version: Count
    spec: Mapping[str, Any]
    parents: Mapping[str, Id | list[Id]]
    digest: Id
    rows: Count
    bytes: Count
    sha256: Hash
    created_at: Time
    created_by: RunId | None = None
    seconds: Seconds = 0.0
    environment: Mapping[str, Any] = field(default_factory=dict)
    about: About = field(default_factory=dict)

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef(self.id, self.kind, self.digest, self.rows, self.bytes)

    def parent(self, role: str) -> str:
        """The id of the only parent in a role. Raises MissingParent, which names this artifact."""
        return only_parent(self.parents, role, f"{self.kind} {self.id[:12]}")

    @property
    def payload(self) -> str:
        """The path of the payload inside the lake."""
        return payload_name(self.id, self.digest)


def payload_name(id: str, digest: str) -> str:
    """The path of a payload inside the lake. Raises InvalidName for an invalid id or digest."""
    return f"{folder_name(id)}/payload-{_checked(digest, 'digest')[:16]}.parquet"


def manifest_name(id: str) -> str:
    """The path of a manifest inside the lake. Raises InvalidName for an invalid id."""
    return f"{folder_name(id)}/manifest.json"


def folder_name(id: str) -> str:
    """The path of an artifact's folder inside the lake. Raises InvalidName for an invalid id."""
    return f"artifacts/{_checked(id, 'id')[:2]}/{id}"


def _checked(text: str, what: str) -> str:
    if not is_id(text):
        raise InvalidName(f"{text!r} is not the {what} of an artifact: give all of its 64 digits")
    return text
