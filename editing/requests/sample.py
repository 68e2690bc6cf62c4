"""Samples of edit requests by a hash of their ids, so that they depend on neither the order nor the edits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from editflow.editing.requests.record import EditRequest


def sort_by_hash(requests: Iterable[EditRequest]) -> list[EditRequest]:
    """Sort requests by the hash of their ids."""
    return sorted(requests, key=lambda request: hashlib.sha256(request.request_id.encode()).digest())


def sample(requests: Sequence[EditRequest], count: int) -> list[EditRequest]:
    """Return at most `count` requests in the order given. A larger count keeps the same requests and adds others."""
    chosen = {request.request_id for request in sort_by_hash(requests)[:count]}
    return [request for request in requests if request.request_id in chosen]
