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
    """A name that matches nothing in the lake, or several things."""


@dataclass(frozen=True)
class Source:
    """A fact, document or artifact that may be withdrawn. `holders` are the artifacts that contain it.

    `facts` and `documents` are to be left out of a run. An artifact of requests or tokens has all of its facts or
    documents; any other artifact has neither, because it is computed.
    """

    what: What
    name: str
    holders: Sequence[str]
    facts: Sequence[str] = ()
    documents: Sequence[str] = ()


@dataclass(frozen=True)
class Dependants:
    """Everything that depends on a source. `names`: specs whose present model does; `releases`: those released."""

    source: Source
    impact: Impact
    runs: Sequence[RunRecord]
    names: Sequence[str]
    releases: Sequence[str]

    @property
    def seconds(self) -> float:
        """The recorded wall-clock time of making all of it."""
        return sum(seconds for _, _, seconds in self.impact.artifacts)


def source_of(lake: Lake, text: str) -> Source:
    """The fact, document or artifact with a name, or with a unique start of one.

    A prefix `request:`, `document:` or `artifact:` selects among them. Raises NothingOfThatName.
    """
    prefix, colon, rest = text.partition(":")
    wanted, name = (prefix, rest) if colon and prefix in FINDERS else (None, text)
    found = [source for what, find in FINDERS.items() if wanted in {None, what} for source in find(lake, name)]
    exact = [source for source in found if source.name == name]
    matches = exact or found
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(f"{source.what}:{source.name[:24]}" for source in matches[:5])
    hint = f"choose one: {names}" if matches else '`editflow query "SELECT request FROM requests"` lists facts'
    raise NothingOfThatName(f"{len(matches)} facts, documents and artifacts in {lake.uri} match {text!r}; {hint}")


def dependants(lake: Lake, source: Source) -> Dependants:
    """Everything in the lake that depends on a source."""
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
    held = _find_holders(lake, {"requests": "request"}, name)["requests"]
    return [Source("request", fact, at, facts=[fact]) for fact, at in held.items()]


def _documents(lake: Lake, name: str) -> list[Source]:
    """A document that was sampled but never tokenised has no holders, because nothing was made from it."""
    held = _find_holders(lake, {"documents": "document", "tokens": "document"}, name)
    return [Source("document", one, held["tokens"].get(one, []), documents=[one]) for one in held["documents"]]


def _find_holders(lake: Lake, columns: Mapping[str, str], name: str) -> dict[str, dict[str, list[str]]]:
    """{kind: {value that starts with the name: the artifacts that have it}}."""
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

    def values(kind: str, column: str) -> list[str]:
        return sorted(set(lake.read(made.id, [column])[column].to_pylist())) if made.kind == kind else []

    return [Source("artifact", made.id, [made.id], values("requests", "request"), values("tokens", "document"))]


FINDERS: dict[str, Callable[[Lake, str], list[Source]]] = {
    "request": _requests,
    "document": _documents,
    "artifact": _artifacts,
}
"""How to find each kind of source by the start of its name."""
