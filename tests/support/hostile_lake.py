"""An untrusted lake in which every text contains terminal control sequences and markup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.records.runs import RunRecord, Runs, Use

TEXT = (
    "<script>x</script> [red]r[/red] [/] :100: \x1b[31mE\x1b]8;;http://a\x1b\\L \x07 "
    "\u202eR \u200b\u2066z \x9b7m \ufeff \r\n|"
)
LONG = TEXT + "ü" * 10_000
SHOWN = ["<script>", "[red]r[/red]", ":100:", "\\x1b[31mE", "\\x07", "\\u202eR", "\\u200b", "\\x9b7m"]
"""The parts of TEXT as they must be displayed: unchanged or escaped."""


def lake(folder: Path) -> Lake:
    """Write a failed and a completed run, in which every text is hostile."""
    store = Lake.open(folder)
    texts = dict.fromkeys(("relation", "subject", "prompt", "target_new", "target_true"), LONG)
    lists = {"paraphrase_prompts": [TEXT], "neighborhood_prompts": [LONG]}
    requests = _write(store, "requests", {"request": TEXT, "position": 0, **texts, **lists}, {})
    document = {"document": TEXT, "title": TEXT, "split": "heldout", "text": LONG}
    documents = _write(store, "documents", document, {TEXT: requests})
    runs = Runs(store.files)
    uses = [Use(requests, TEXT, "created", 0.5), Use(documents, LONG, "reused")]
    failed = runs.start(TEXT, {"name": TEXT}, spec_path=LONG, environment={TEXT: LONG})
    done = runs.start(TEXT, {"name": TEXT}, spec_path=TEXT)
    Catalog(store).record_many(
        artifacts=store.manifests(),
        runs=[
            runs.finish(failed, "failed", message=LONG, uses=uses),
            runs.finish(done, "completed", message=TEXT, state=documents, uses=uses, summary=_summary()),
        ],
    )
    return store


def damaged(store: Lake) -> None:
    """Add a damaged run whose folder name is hostile as well."""
    folder = Path(store.uri) / "runs" / TEXT.replace("/", "")
    folder.mkdir()
    (folder / "started.json").write_text("{")


def record(store: Lake) -> RunRecord:
    """The failed run."""
    return next(run for run in Runs(store.files).all() if run.status == "failed")


def _summary() -> dict[str, Any]:
    scores = {TEXT: {TEXT: 1.0}, "perplexity": 2.0}
    batch = {"batch": 1, "facts": 1, "state": TEXT, "metrics": {TEXT: {TEXT: 1.0, LONG: 2.0}}}
    return {"facts": 1, "before": scores, "after": scores, "batches": [batch]}


def _write(store: Lake, name: str, row: dict[str, Any], parents: dict[str, str]) -> str:
    table = pa.Table.from_pylist([row], schema=kind(name).schema)
    return store.write(name, 1, {"stage": TEXT}, parents, table, about={TEXT: LONG}).id
