"""The outside sources of an artifact: the model, the facts batch by batch, the documents of the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import pyarrow.compute as pc

from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.queries.query import Step, lineage

EDITS = ("state", "weight_change", "keys", "target_values")
"""What is made from the facts that it writes; all else that is made from facts only asks about them."""


class SourceModel(TypedDict):
    """A base model: its artifact, and the folder and dtype that it was read from and as."""

    artifact: str
    folder: str | None
    dtype: str | None


class SourceFact(TypedDict):
    """A fact with the artifact of its batch; `batch` counts from 1 in the order of editing, None: only evaluated."""

    batch: int | None
    artifact: str
    request: str
    relation: str
    subject: str
    prompt: str
    target_new: str
    target_true: str


class SourceDocument(TypedDict):
    """A document with the artifact of its tokens, and their number."""

    artifact: str
    document: str
    title: str
    split: str
    tokens: int


@dataclass(frozen=True)
class Sources:
    """The outside sources of an artifact."""

    artifact: str
    kind: str
    models: Sequence[SourceModel]
    facts: Sequence[SourceFact]
    documents: Sequence[SourceDocument]

    @property
    def batches(self) -> int:
        """How many batches were edited."""
        return len({row["batch"] for row in self.facts} - {None})


def sources(lake: Lake, artifact: str) -> Sources:
    """Of an artifact (id or prefix). Raises UnknownArtifact, and MissingPayload or DamagedPayload of what holds them.

    Cost: a walk up, and reading the facts and tokens that it meets.
    """
    steps = lineage(lake, artifact)
    start = steps[0]
    seen = {kind: [lake.manifest(id_) for id_ in _of_kind(steps, kind)] for kind in ("model", "tokens")}
    return Sources(
        start.id,
        start.kind,
        [{"artifact": m.id, "folder": m.about.get("folder"), "dtype": m.about.get("dtype")} for m in seen["model"]],
        _facts(lake, steps),
        [row for tokens in seen["tokens"] for row in _documents(lake, tokens)],
    )


def _of_kind(steps: Sequence[Step], kind: str) -> list[str]:
    return list(dict.fromkeys(step.id for step in steps if step.kind == kind))


def _facts(lake: Lake, steps: Sequence[Step]) -> list[SourceFact]:
    kinds = {step.id: step.kind for step in steps}
    edited = {s.id: s.depth for s in steps if s.kind == "requests" and (s.via is None or kinds[s.via] in EDITS)}
    # The further up, the earlier: every batch is edited on the state that the one before it has left.
    order = sorted(edited, key=lambda id_: (-edited[id_], lake.manifest(id_).created_at))
    numbers: dict[str, int | None] = {id_: n for n, id_ in enumerate(order, 1)}
    asked = [id_ for id_ in _of_kind(steps, "requests") if id_ not in edited]
    shown = ("request", "relation", "subject", "prompt", "target_new", "target_true")
    return [
        cast("SourceFact", {"batch": numbers.get(id_), "artifact": id_, **{name: row[name] for name in shown}})
        for id_ in [*order, *asked]
        for row in lake.read(id_, shown).to_pylist()
    ]


def _documents(lake: Lake, tokens: Manifest) -> list[SourceDocument]:
    sampled = lake.read(tokens.parent("documents"), ["document", "title", "split"]).to_pylist()
    known = {row["document"]: row for row in sampled}
    counts: dict[str, int] = {}
    table = lake.read(tokens.id)
    for name, count in zip(
        table["document"].to_pylist(), pc.list_value_length(table["ids"]).to_pylist(), strict=True
    ):  # a row is a window
        counts[name] = counts.get(name, 0) + count
    return [
        cast("SourceDocument", {"artifact": tokens.id, **known[name], "tokens": count})
        for name, count in counts.items()
    ]
