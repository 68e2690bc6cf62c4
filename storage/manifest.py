"""What is written down about an artifact: a small reference to pass around, and the whole manifest."""

# ruff: noqa: A002 - `id` is the field's name everywhere in the archive

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ArtifactRef:
    """What tasks hand to each other instead of tensors; JSON in and out.

    ``digest`` is that of the logical content, ``bytes`` the payload's size on disk.
    """

    id: str
    kind: str
    digest: str
    rows: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ArtifactRef":
        return cls(**value)


@dataclass(frozen=True)
class Manifest:
    """All that is known of an artifact beside its table. Times are UTC in ISO 8601, ``seconds`` wall-clock.

    ``kind, version, spec, parents`` are the recipe and hash to ``id``; ``sha256`` is that of the payload file
    as first written; the rest is recorded and never hashed.
    """

    id: str
    kind: str
    version: int
    spec: Mapping[str, Any]
    parents: Mapping[str, str | list[str]]
    digest: str
    rows: int
    bytes: int
    sha256: str
    created_at: str
    created_by: str | None = None
    seconds: float = 0.0
    environment: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> ArtifactRef:
        return ArtifactRef(self.id, self.kind, self.digest, self.rows, self.bytes)

    @property
    def payload(self) -> str:
        """The payload's path inside the lake."""
        return payload_name(self.id, self.digest)


def payload_name(id: str, digest: str) -> str:
    """The path of a payload inside the lake."""
    return f"artifacts/{id[:2]}/{id}/payload-{digest[:16]}.parquet"


def manifest_name(id: str) -> str:
    """The path of a manifest inside the lake."""
    return f"artifacts/{id[:2]}/{id}/manifest.json"
