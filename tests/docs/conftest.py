"""A small handmade lake with one run, with the same stage labels as a real run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from editflow.storage.artifacts.codec import packed_rows
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.records.runs import Runs, Use

LAYER = 4


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """One run with one batch of two facts: the edit of the first succeeds, that of the second fails."""
    lake = Lake.open(tmp_path_factory.mktemp("docs") / "lake")
    runs = Runs(lake.files)
    run = runs.start("demo", {})
    uses: list[Use] = []

    def make(kind_name: str, stage: str, rows: Any, **parents: str | Sequence[str]) -> str:
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, schema=kind(kind_name).schema)
        ref = lake.write(kind_name, 1, {"stage": stage}, parents, table, created_by=run.run_id, seconds=0.5)
        uses.append(Use(ref.id, stage, "created", 0.5))
        return ref.id

    model = make("model", "model", [{"tensor": "w", "dtype": "float32", "shape": [2, 2], "digest": "0"}])
    requests = make("requests", "requests", [_request("a", 0), _request("b", 1)])
    texts = [{"document": "1", "title": "t", "split": "heldout", "text": "x"}]
    documents = make("documents", "documents", texts)
    evaluated = [*_evaluations("a", (0, 0)), *_evaluations("b", (0,))]
    make("evaluation", "evaluation before", evaluated, state=model, requests=requests)
    make("perplexity", "perplexity before", [_nll(20.0)], state=model, documents=documents)
    moments = packed_rows([(LAYER, "sum", np.eye(2)), (LAYER, "count", np.array([[9.0]]))])
    moment = make("second_moment", "second moment", moments, model=model)
    pairs = [
        {"layer": LAYER, "i": i, "eigenvalue": [0.01, 1.0][i], "scale": 0.0, "reduced": [0.0] * (2 - i)}
        for i in range(2)
    ]
    make("spectrum", "spectrum of layer 4", pairs, second_moment=moment)
    values = make("target_values", "target values 1", [_value("a"), _value("b")], state=model, requests=requests)
    weight = {"layer": LAYER, "tensor": "w", "form": "low_rank", "weight_digest": "1", "change_norm": 1.0}
    state = make("state", "state 1", [weight | {"weight_norm": 4.0}], state=model, requests=requests, values=values)
    evaluated = [*_evaluations("a", (1, 1)), *_evaluations("b", (0,))]
    make("evaluation", "evaluation after", evaluated, state=state, requests=requests)
    make("perplexity", "perplexity after", [_nll(21.0)], state=state, documents=documents)
    Catalog(lake).record_many(
        artifacts=lake.manifests(),
        uses=[(run.run_id, use) for use in uses],
        runs=[run, runs.finish(run, "completed", state=state, uses=uses)],
    )
    return lake


def _request(name: str, position: int) -> dict[str, Any]:
    words = ("relation", "subject", "prompt", "target_new", "target_true")
    prompts: Mapping[str, list[str]] = {"paraphrase_prompts": [], "neighborhood_prompts": []}
    return {"request": name, "position": position, **{word: f"{word} {name}" for word in words}, **prompts}


def _evaluations(request: str, successes: Sequence[float]) -> list[dict[str, Any]]:
    row = {"request": request, "metric": "efficacy", "prompt": "p", "nll_new": 1.0, "nll_true": 2.0, "accuracy": 0.0}
    return [row | {"prompt_index": i, "success": float(success)} for i, success in enumerate(successes)]


def _nll(nll: float) -> dict[str, Any]:
    return {"document": "1", "tokens": 10, "nll": nll}


def _value(request: str) -> dict[str, Any]:
    norms = dict.fromkeys(("h_norm", "delta_norm", "loss", "nll", "kl", "weight_decay"), 1.0)
    return {"request": request, "layer": LAYER, "z": [0.0, 1.0], **norms, "steps": 25, "stopped": "steps"}
