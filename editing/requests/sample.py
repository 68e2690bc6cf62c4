"""Samples of edit requests by a hash of their ids: the same for any order and for any result of the edits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from editflow.editing.requests.record import EditRequest


def ranked(requests: Iterable[EditRequest]) -> list[EditRequest]:
    """Requests in the order of the hash of their ids."""
    return sorted(requests, key=lambda request: hashlib.sha256(request.request_id.encode()).digest())


def sample(requests: Sequence[EditRequest], count: int) -> list[EditRequest]:
    """At most `count` requests, in their given order; a larger count only adds."""
    chosen = {request.request_id for request in ranked(requests)[:count]}
    return [request for request in requests if request.request_id in chosen]
