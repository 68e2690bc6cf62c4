"""The Prefect artifacts (pages and tables) that runs have written."""

from __future__ import annotations

import json
from typing import Any


def latest(*keys: str) -> dict[str, Any]:
    """The newest artifact of each key that exists."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[*keys])))
    return {artifact.key: artifact for artifact in sorted(found, key=lambda one: str(one.created))}


def table(key: str) -> list[dict[str, Any]]:
    """The rows of the newest table with a key."""
    return list(json.loads(latest(key)[key].data))
