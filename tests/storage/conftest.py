"""Small tables of any kind, and a fresh lake."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.records.runs import Runs, Use

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(tmp_path / "lake")


@pytest.fixture
def table() -> Callable[..., pa.Table]:
    """``table(kind, rows, column=[...])``: a table of a kind with invented values for columns that are not given."""

    def make(kind_name: str, rows: int = 2, **columns: list[Any]) -> pa.Table:
        schema = kind(kind_name).schema
        return pa.table({f.name: columns.get(f.name, _filler(f, rows)) for f in schema}, schema=schema)

    return make


def _filler(field: pa.Field, rows: int) -> list[Any]:
    if pa.types.is_string(field.type):
        return [f"{field.name}{i}" for i in range(rows)]
    if pa.types.is_boolean(field.type):
        return [i % 2 == 1 for i in range(rows)]
    if pa.types.is_list(field.type):
        return [["a"] if pa.types.is_string(field.type.value_type) else [i, i + 1] for i in range(rows)]
    return list(range(rows))


@pytest.fixture
def script() -> Callable[..., "subprocess.Popen[str]"]:
    """``script(text, *arguments)``: start a Python process that can import the repository."""

    def start(text: str, *arguments: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", text, *map(str, arguments)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


@pytest.fixture
def edited(lake: Lake, table: Callable[..., pa.Table]) -> dict[str, str]:
    """A small history in ``lake``, with its index: two batches of edits on a model, then evaluations.

    Gives ids by name: model, requests, documents, state0, values0, state1, values1, state2, evaluation,
    perplexity, cases, ability, and run. The run reused the model and is finished.
    """
    catalog, runs = Catalog(lake), Runs(lake.files)
    run = runs.start("demo", {"seed": 1})
    catalog.record_run(run)
    ids: dict[str, str] = {"run": run.run_id}
    uses = []

    def make(name: str, kind_name: str, rows: int = 2, **parents: str | list[str]) -> None:
        made_by = None if name == "model" else run.run_id
        ref = lake.write(kind_name, 1, {"name": name}, parents, table(kind_name, rows), created_by=made_by)
        ids[name] = ref.id
        uses.append(Use(ref.id, kind_name, "created" if made_by else "reused"))

    make("model", "model")
    make("requests", "requests", 4)
    make("documents", "documents")
    make("state0", "state", model=ids["model"])
    for n in range(2):
        make(f"values{n}", "target_values", state=ids[f"state{n}"], requests=ids["requests"])
        make(f"state{n + 1}", "state", state=ids[f"state{n}"], values=[ids[f"values{n}"]])
    make("evaluation", "evaluation", 3, state=ids["state2"], requests=ids["requests"])
    make("perplexity", "perplexity", state=ids["state2"], documents=ids["documents"])
    make("cases", "ability_cases", 3)
    make("ability", "ability", 3, state=ids["state2"], cases=ids["cases"])
    catalog.record_many(artifacts=lake.manifests(), uses=[(run.run_id, use) for use in uses])
    catalog.record_run(runs.finish(run, "completed", state=ids["state2"], uses=uses))
    return ids
