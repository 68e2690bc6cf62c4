"""The external sources of an artifact: the model, the facts by batch, and the documents of the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import pyarrow.compute as pc

from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.queries.query import Step, lineage

EDITS = ("state", "weight_change", "keys", "target_values")
"""Kinds that write the facts they are made from; all other kinds only ask about their facts."""


class SourceModel(TypedDict):
    """A model, with the folder and dtype that it was loaded from."""

    artifact: str
    folder: str | None
    dtype: str | None


class SourceFact(TypedDict):
    """A fact. `batch` counts from 1 in the order of editing, None if it was only asked; `artifact` has its requests."""

    batch: int | None
    artifact: str
    request: str
    relation: str
    subject: str
    prompt: str
    target_new: str
    target_true: str


class SourceDocument(TypedDict):
    """A document. `artifact` has its tokens."""

    artifact: str
    document: str
    title: str
    split: str
    tokens: int


@dataclass(frozen=True)
class Sources:
    """The external sources of an artifact."""

    artifact: str
    kind: str
    models: Sequence[SourceModel]
    facts: Sequence[SourceFact]
    documents: Sequence[SourceDocument]

    @property
    def batches(self) -> int:
        """The number of edited batches."""
        return len({row["batch"] for row in self.facts} - {None})


def sources(lake: Lake, artifact: str) -> Sources:
    """The sources of an artifact (id or prefix). Cost: a walk up, and reading its facts and tokens.

    Raises UnknownArtifact, MissingPayload or DamagedPayload.
    """
    steps = lineage(lake, artifact)
    start = steps[0]
    models, tokens = ([lake.manifest(id_) for id_ in _ids_of_kind(steps, kind)] for kind in ("model", "tokens"))
    return Sources(
        start.id,
        start.kind,
        [{"artifact": m.id, "folder": m.about.get("folder"), "dtype": m.about.get("dtype")} for m in models],
        _facts(lake, steps),
        [row for made in tokens for row in _documents(lake, made)],
    )


def _ids_of_kind(steps: Sequence[Step], kind: str) -> list[str]:
    return list(dict.fromkeys(step.id for step in steps if step.kind == kind))


def _facts(lake: Lake, steps: Sequence[Step]) -> list[SourceFact]:
    kinds = {step.id: step.kind for step in steps}
    edited = {s.id: s.depth for s in steps if s.kind == "requests" and (s.via is None or kinds[s.via] in EDITS)}
    # Each batch is edited on the state of the batch before it, so the earliest batch is the furthest up.
    order = sorted(edited, key=lambda id_: (-edited[id_], lake.manifest(id_).created_at))
    numbers: dict[str, int | None] = {id_: n for n, id_ in enumerate(order, 1)}
    asked = [id_ for id_ in _ids_of_kind(steps, "requests") if id_ not in edited]
    columns = ("request", "relation", "subject", "prompt", "target_new", "target_true")
    return [
        cast("SourceFact", {"batch": numbers.get(id_), "artifact": id_, **row})
        for id_ in [*order, *asked]
        for row in lake.read(id_, columns).to_pylist()
    ]


def _documents(lake: Lake, tokens: Manifest) -> list[SourceDocument]:
    sampled = lake.read(tokens.parent("documents"), ["document", "title", "split"]).to_pylist()
    known = {row["document"]: row for row in sampled}
    windows = lake.read(tokens.id)
    lengths = pc.list_value_length(windows["ids"]).to_pylist()
    counts = Counter[str]()
    for name, length in zip(windows["document"].to_pylist(), lengths, strict=True):
        counts[name] += length
    return [
        {
            "artifact": tokens.id,
            "document": name,
            "title": known[name]["title"],
            "split": known[name]["split"],
            "tokens": n,
        }
        for name, n in counts.items()
    ]
