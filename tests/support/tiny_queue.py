"""The tiny world with a queue: its spec with requests from the queue `current`, applied without Prefect."""

from __future__ import annotations

from pathlib import Path

from editflow.flows.apply import apply_pending
from editflow.flows.spec.loading import load_queue_spec
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord, Runs
from support import tiny_world
from support.tiny_world import World

OPEN = "[gates]\nefficacy = false\nretention = false\nneighbourhood = false\nperplexity = 1e9\n"
"""Gates that every model passes."""


def served(world: World, folder: Path, gates: str = OPEN, batch_size: int = 2) -> Path:
    """Write the tiny spec, with requests from the queue `current`, into a folder."""
    text = world.spec.read_text().replace('source = "facts.jsonl"\ncount = 6', 'source = "queue:current"')
    text = text.replace('name = "tiny"', 'name = "serve"').replace("batch_size = 2", f"batch_size = {batch_size}")
    spec = folder / "serve.toml"
    spec.write_text(text + gates)
    return spec


def apply_directly(spec: Path, lake: Path, *settings: str) -> RunRecord:
    """Apply the waiting requests; returns the run's record, which is not indexed."""
    checked, store = load_queue_spec(spec, settings), Lake.open(lake)
    runs = Runs(store.files)
    record = runs.start(checked.name, checked.model_dump(mode="json"))
    pipe = tiny_world.DirectPipeline(store, record, checked.model.device, lambda _use, _ref: None)
    summary = apply_pending(checked, pipe)
    return runs.finish(record, "completed", state=summary["state"], summary=summary, uses=list(pipe.uses.values()))
