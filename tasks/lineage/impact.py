"""Everything derived from a fact, a document or an artifact: artifacts, runs, names and releases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import UnknownArtifact
from editflow.storage.queries.query import Impact, find_values, impact
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.errors import TaskError
from editflow.tasks.releases.queue import Queue

What = Literal["request", "document", "artifact"]


class NothingOfThatName(TaskError):
    """What is to be withdrawn is nowhere in the lake, or is several things."""


@dataclass(frozen=True)
class Source:
    """One thing that may be withdrawn. `holders` are the artifacts that hold it and that others were made from.

    `facts` and `documents` are what a run must do without: one of the two for a fact or a document, and what is in it
    for an artifact of requests or tokens; both empty for what is only ever computed.
    """

    what: What
    name: str
    holders: Sequence[str]
    facts: Sequence[str] = ()
    documents: Sequence[str] = ()


@dataclass(frozen=True)
class Dependants:
    """All that depends on a source. `names` are the moving names whose edited model does, `releases` those released."""

    source: Source
    impact: Impact
    runs: Sequence[RunRecord]
    names: Sequence[str]
    releases: Sequence[str]

    @property
    def seconds(self) -> float:
        """What making all of it took, wall-clock, as it was recorded."""
        return sum(seconds for _, _, seconds in self.impact.artifacts)


def source_of(lake: Lake, text: str) -> Source:
    """The fact, document or artifact of a name, or of the only beginning of one; `request:`, `document:` or `artifact:`
    before it says which. Raises NothingOfThatName."""
    said, colon, rest = text.partition(":")
    wanted, name = (said, rest) if colon and said in FINDERS else (None, text)
    found = [source for what, find in FINDERS.items() if wanted in {None, what} for source in find(lake, name)]
    exact = [source for source in found if source.name == name]
    several = exact or found
    if len(several) == 1:
        return several[0]
    known = "; ".join(f"{source.what}:{source.name[:24]}" for source in several[:5])
    which = f"it may be {known}: say which" if several else '`editflow query "SELECT request FROM requests"` has facts'
    raise NothingOfThatName(f"{len(several)} facts, documents and artifacts in {lake.uri} match {text!r}; {which}")


def dependants(lake: Lake, source: Source) -> Dependants:
    """What depends on a source, in every run of the lake."""
    found = impact(lake, source.holders)
    ids = {id_ for id_, _, _ in found.artifacts}
    known, names, releases = Runs(lake.files), Refs(lake.files), Refs(lake.files, "releases")
    return Dependants(
        source,
        found,
        [known.get_or_damaged(run) for run in found.runs],
        [name for name in names.names() if (names.get(name) or [None])[0] in ids],
        [name for name in releases.names() if Queue(lake.files, name).state().state in ids],
    )


def _requests(lake: Lake, name: str) -> list[Source]:
    held = _held(lake, {"requests": "request"}, name)["requests"]
    return [Source("request", fact, at, facts=[fact]) for fact, at in held.items()]


def _documents(lake: Lake, name: str) -> list[Source]:
    """What was sampled and never cut into tokens has no holders: nothing was made from it."""
    held = _held(lake, {"documents": "document", "tokens": "document"}, name)
    return [Source("document", one, held["tokens"].get(one, []), documents=[one]) for one in held["documents"]]


def _held(lake: Lake, columns: Mapping[str, str], name: str) -> dict[str, dict[str, list[str]]]:
    """Of each kind, {a value that begins so: the artifacts that have it}."""
    found: dict[str, dict[str, list[str]]] = {kind: {} for kind in columns}
    for kind, rows in (find_values(lake, columns, name) if name else {}).items():
        for artifact, value in rows:
            found[kind].setdefault(value, []).append(artifact)
    return found


def _artifacts(lake: Lake, name: str) -> list[Source]:
    try:
        made = lake.manifest(name)
    except UnknownArtifact:
        return []
    column = {"requests": "request", "tokens": "document"}.get(made.kind)
    inside = sorted(set(lake.read(made.id, [column])[column].to_pylist())) if column else []
    role = {"requests": "facts", "tokens": "documents"}.get(made.kind)
    return [Source("artifact", made.id, [made.id], **({role: inside} if role else {}))]


FINDERS: dict[str, Callable[[Lake, str], list[Source]]] = {
    "request": _requests,
    "document": _documents,
    "artifact": _artifacts,
}
"""How each kind of thing is found by the beginning of its name."""
