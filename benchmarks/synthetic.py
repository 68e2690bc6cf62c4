"""A lake of the size of years, with few payloads: manifests, run records, and an index that was never merged.

A project of `CHAIN` runs has one text, one model and one null space; each run adds a link to the project's list of
states. A link rests on all before it, so the newest state of a project has thousands of artifacts behind it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count, islice
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.manifest import Manifest, manifest_name
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.delta_log import append_rows, latest_version
from editflow.storage.index.rows import SCHEMAS, artifact_row
from editflow.storage.records.runs import RunRecord, Use

CHAIN = 500
LINK: dict[str, tuple[str, ...]] = {
    "requests": (),
    "questions": (),
    "contexts": ("model",),
    "target_values": ("state", "requests", "contexts"),
    "weight_change": ("state", "requests", "contexts", "target_values", "null_space"),
    "keys": ("state", "requests", "contexts", "target_values", "null_space"),
    "state": ("state", "requests", "weight_change", "keys"),
    "evaluation": ("state", "requests", "questions", "model"),
    "perplexity": ("state", "documents", "tokens", "model"),
    "hidden_states": ("state", "requests", "questions", "model"),
}
"""The ten artifacts of a run, each after what it is made from: 30 inputs."""
GROUND: dict[str, tuple[str, ...]] = {
    "model": (),
    "documents": (),
    "tokens": ("documents", "model"),
    "second_moment": ("tokens", "model"),
    "spectrum": ("second_moment",),
    "null_space": ("spectrum",),
}
"""What the first run of a project makes besides."""
ENVIRONMENT = {"python": "3.11.7", "torch": "2.13.0", "threads": 2, "device": "cpu", "machine": "x86_64"}
BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
AT_ONCE = 5000
CHECKPOINT = 100
"""Commits after which a log can be read from, as Delta's writers do it."""
TEXTS = 50
"""Documents of a project."""

Run = tuple[RunRecord, list[Manifest]]


def runs() -> Iterator[Run]:
    """Runs without end, each with the manifests of what it made; the same every time."""
    numbers, latest = count(), dict[str, str]()
    for n in count():
        parts = LINK
        if n % CHAIN == 0:
            latest, parts = {}, GROUND | LINK
        began = BEGAN + timedelta(minutes=n)
        run = f"{began:%Y%m%dT%H%M%S}-{n:06x}"
        made = []
        for name, roles in parts.items():
            id_ = sha256(f"{next(numbers)}".encode()).hexdigest()
            inputs = {role: latest.get(role, latest.get("model", "")) for role in roles}  # the model is the first state
            spec = {"stage": name, "label": f"{name} {n}"}
            made.append(Manifest(id_, name, 1, spec, inputs, id_[::-1], 10, 1000, id_, began.isoformat(), run, 0.5,
                                 ENVIRONMENT))  # fmt: skip
            latest[name] = id_
        yield _record(run, f"project-{n // CHAIN}", began, latest["state"], made), made


def _record(run: str, name: str, began: datetime, state: str, made: Sequence[Manifest]) -> RunRecord:
    ended = (began + timedelta(seconds=30)).isoformat()
    uses = tuple(Use(m.id, m.kind, "created", m.seconds) for m in made)
    return RunRecord(run, name, {"name": name}, None, began.isoformat(), ENVIRONMENT, "host", 1, 0.0, "completed",
                     ended, "", state, {"facts": 10}, uses)  # fmt: skip


def write(lake: Lake, number: int, commits: int) -> Manifest:
    """Fill an empty lake with so many runs, and return the newest state.

    The newest `commits` artifacts come into the index in commits of their own, which are never merged.
    """
    source, newest = islice(runs(), number), list[Manifest]()
    while some := list(islice(source, AT_ONCE)):
        newest = [manifest for _, made in some for manifest in made]
        for record, _ in some:
            _put_run(lake, record)
        for manifest in newest:
            _put(lake, manifest_name(manifest.id), vars(manifest))
            put_texts(lake, manifest)
        number -= len(some)
        together = newest if number else newest[:-commits]
        uses = [(record.run_id, use) for record, _ in some for use in record.uses]
        Catalog(lake).record_many(artifacts=together, uses=uses, runs=[record for record, _ in some])
    commit_each(lake, newest[-commits:])
    return next(manifest for manifest in reversed(newest) if manifest.kind == "state")


def put_texts(lake: Lake, made: Manifest) -> None:
    """The payload of documents or tokens: these alone are read when a document is looked for by its name."""
    project = made.spec["label"].rpartition(" ")[2]
    names = [f"text {n} of {project}" for n in range(TEXTS)]
    if made.kind == "documents":
        columns: dict[str, Any] = {"document": names, "title": names, "split": ["moments"] * TEXTS, "text": names}
    elif made.kind == "tokens":
        columns = {"document": names, "ids": [[1, 2, 3]] * TEXTS}
    else:
        return
    lake.files.write_parquet(made.payload, pa.table(columns, schema=kind(made.kind).schema))


def commit_each(lake: Lake, manifests: Sequence[Manifest]) -> None:
    """A commit for each, never merged."""
    table = "catalog/artifacts"
    version = latest_version(lake.files, table) or 0
    for manifest in manifests:
        row = pa.Table.from_pylist([artifact_row(manifest)], schema=SCHEMAS["artifacts"])
        version = append_rows(lake.files, table, row, version)
        if version % CHECKPOINT == 0:
            DeltaTable(lake.files.path(table)).create_checkpoint()


def _put_run(lake: Lake, record: RunRecord) -> None:
    later = ("status", "finished_at", "message", "state", "summary", "uses")
    whole = asdict(record)
    _put(lake, f"runs/{record.run_id}/started.json", {k: v for k, v in whole.items() if k not in later})
    _put(lake, f"runs/{record.run_id}/finished.json", {k: whole[k] for k in later})


def _put(lake: Lake, name: str, value: dict[str, Any]) -> None:
    """A file of the lake, without the care that a real writer takes for each."""
    folder, _, _ = (path := lake.files.path(name)).rpartition("/")
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - a million of them
    with open(path, "w", encoding="utf-8") as out:  # noqa: PTH123
        out.write(json.dumps(value))
