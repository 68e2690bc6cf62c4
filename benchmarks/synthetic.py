"""A synthetic lake as large as after years of use: manifests, run records, few payloads, an uncompacted index.

A project has `RUNS_PER_PROJECT` runs, one corpus, one model and one null space. Each run adds one state to the
project's chain of states, so the newest state of a project has thousands of upstream artifacts.
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

RUNS_PER_PROJECT = 500
RUN_KINDS: dict[str, tuple[str, ...]] = {
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
"""The ten artifacts of a run and the roles of their inputs, parents first: 30 inputs."""
PROJECT_KINDS: dict[str, tuple[str, ...]] = {
    "model": (),
    "documents": (),
    "tokens": ("documents", "model"),
    "second_moment": ("tokens", "model"),
    "spectrum": ("second_moment",),
    "null_space": ("spectrum",),
}
"""The artifacts that the first run of a project also creates."""
ENVIRONMENT = {"python": "3.11.7", "torch": "2.13.0", "threads": 2, "device": "cpu", "machine": "x86_64"}
START = datetime(2020, 1, 1, tzinfo=UTC)
BATCH = 5000
CHECKPOINT_EVERY = 100
"""Number of commits between checkpoints, as usual for Delta writers."""
DOCUMENTS = 50
"""Number of documents of a project."""

Run = tuple[RunRecord, list[Manifest]]


def runs() -> Iterator[Run]:
    """An endless, deterministic sequence of runs, each with the manifests that it created."""
    numbers, newest = count(), dict[str, str]()
    for n in count():
        parts = RUN_KINDS
        if n % RUNS_PER_PROJECT == 0:
            newest, parts = {}, PROJECT_KINDS | RUN_KINDS
        began = START + timedelta(minutes=n)
        run = f"{began:%Y%m%dT%H%M%S}-{n:06x}"
        made = []
        for name, roles in parts.items():
            id_ = sha256(f"{next(numbers)}".encode()).hexdigest()
            inputs = {role: newest.get(role, newest.get("model", "")) for role in roles}  # the model is the first state
            spec = {"stage": name, "label": f"{name} {n}"}
            made.append(Manifest(id_, name, 1, spec, inputs, id_[::-1], 10, 1000, id_, began.isoformat(), run, 0.5,
                                 ENVIRONMENT))  # fmt: skip
            newest[name] = id_
        yield _record(run, f"project-{n // RUNS_PER_PROJECT}", began, newest["state"], made), made


def _record(run: str, name: str, began: datetime, state: str, made: Sequence[Manifest]) -> RunRecord:
    ended = (began + timedelta(seconds=30)).isoformat()
    uses = tuple(Use(m.id, m.kind, "created", m.seconds) for m in made)
    return RunRecord(run, name, {"name": name}, None, began.isoformat(), ENVIRONMENT, "host", 1, 0.0, "completed",
                     ended, "", state, {"facts": 10}, uses)  # fmt: skip


def write(lake: Lake, number: int, commits: int) -> Manifest:
    """Fill an empty lake with ``number`` runs; returns the newest state.

    The newest `commits` artifacts are indexed in one commit each, which is never compacted.
    """
    source, newest = islice(runs(), number), list[Manifest]()
    while some := list(islice(source, BATCH)):
        newest = [manifest for _, made in some for manifest in made]
        for record, _ in some:
            _write_run(lake, record)
        for manifest in newest:
            _write_json(lake, manifest_name(manifest.id), vars(manifest))
            _write_texts(lake, manifest)
        number -= len(some)
        together = newest if number else newest[:-commits]
        uses = [(record.run_id, use) for record, _ in some for use in record.uses]
        Catalog(lake).record_many(artifacts=together, uses=uses, runs=[record for record, _ in some])
    _commit_each(lake, newest[-commits:])
    return next(manifest for manifest in reversed(newest) if manifest.kind == "state")


def _write_texts(lake: Lake, made: Manifest) -> None:
    """Write the payload if it is documents or tokens, the only kinds that a search for a document reads."""
    project = made.spec["label"].rpartition(" ")[2]
    names = [f"text {n} of {project}" for n in range(DOCUMENTS)]
    if made.kind == "documents":
        columns: dict[str, Any] = {"document": names, "title": names, "split": ["moments"] * DOCUMENTS, "text": names}
    elif made.kind == "tokens":
        columns = {"document": names, "ids": [[1, 2, 3]] * DOCUMENTS}
    else:
        return
    lake.files.write_parquet(made.payload, pa.table(columns, schema=kind(made.kind).schema))


def _commit_each(lake: Lake, manifests: Sequence[Manifest]) -> None:
    """Index each artifact in its own commit."""
    table = "catalog/artifacts"
    version = latest_version(lake.files, table) or 0
    for manifest in manifests:
        row = pa.Table.from_pylist([artifact_row(manifest)], schema=SCHEMAS["artifacts"])
        version = append_rows(lake.files, table, row, version)
        if version % CHECKPOINT_EVERY == 0:
            DeltaTable(lake.files.path(table)).create_checkpoint()


def _write_run(lake: Lake, record: RunRecord) -> None:
    later = ("status", "finished_at", "message", "state", "summary", "uses")
    whole = asdict(record)
    _write_json(lake, f"runs/{record.run_id}/started.json", {k: v for k, v in whole.items() if k not in later})
    _write_json(lake, f"runs/{record.run_id}/finished.json", {k: whole[k] for k in later})


def _write_json(lake: Lake, name: str, value: dict[str, Any]) -> None:
    """Write a file of the lake, without the atomicity of a real writer."""
    folder, _, _ = (path := lake.files.path(name)).rpartition("/")
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - a million of them
    with open(path, "w", encoding="utf-8") as out:  # noqa: PTH123
        out.write(json.dumps(value))
