"""Untrusted records with impossible values of the right type: one line that names the record, exit code 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from support import tiny_world
from support.error_checks import refused
from support.tiny_world import World, editflow

from editflow.flows.edit_model import edit
from editflow.flows.pipeline.tracked_run import run_tracked, with_retry
from editflow.flows.spec.loading import load_spec
from editflow.storage.artifacts.store import Lake

pytestmark = pytest.mark.exhaustive

Change = Callable[[Any], object]
START, END = "started.json", "finished.json"


@pytest.fixture(scope="module")
def received(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one finished run."""
    lake = tmp_path_factory.mktemp("received") / "lake"
    run_tracked(
        load_spec(world.spec),
        Lake.open(lake),
        None,
        lambda _use, _ref: None,
        with_retry(edit),
        tiny_world.DirectPipeline,
    )
    return lake


@pytest.fixture
def lake(received: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(received, tmp_path / "lake"))


def words(question: str, lake: Path) -> Sequence[object]:
    """The arguments of a command."""
    out = lake.parent / "out.file"
    (run,) = (folder.name for folder in lake.glob("runs/*"))
    return {
        "report": ("report", run, "--out", out),
        "scores": ("scores", run),
        "ask": ("ask", run, "speaks"),
        "export-run": ("export-run", run, "--out", out),
        "openlineage": ("export-run", run, "--out", out, "--openlineage"),
    }[question]


def changed(file: Path, change: Change) -> None:
    record = json.loads(file.read_text(encoding="utf-8"))
    change(record)
    file.write_text(json.dumps(record), encoding="utf-8")


def manifest_of(lake: Path, kind: str) -> Path:
    """The manifest of the first artifact of a kind."""
    return Path(tiny_world.payload(lake, tiny_world.artifacts(lake, kind)[0]).parent) / "manifest.json"


def of_spec(section: str, **settings: Any) -> Change:
    return lambda record: record["spec"][section].update(settings)


def of_batch(**values: Any) -> Change:
    return lambda end: end["summary"]["batches"][0].update(values)


RECORDS: dict[str, tuple[str, str, Change, str]] = {
    "a time without its zone": ("openlineage", START, lambda r: r.update(started_at="2026-11-30"), START),
    "the same for a report": ("report", START, lambda r: r.update(started_at="2026-11-30T10:00:00"), START),
    "the last year there is": ("openlineage", END, lambda r: r.update(finished_at="9999-12-31T23:59:59+00:00"), END),
    "ages": ("openlineage", END, lambda r: r["uses"][0].update(seconds=1e300), END),
    "a model that is a text": ("report", START, lambda r: r["spec"].update(model="x"), "no model "),
    "a model without a source": ("report", START, lambda r: r["spec"].update(model={}), "model.source"),
    "no layers": ("report", START, of_spec("edit", layers=[]), "edit.layers"),
    "layers that are texts": ("scores", START, of_spec("edit", layers=["a"]), "edit.layers"),
    "a section that is a number": ("report", START, lambda r: r["spec"].update(target_values=5), "target_values"),
    "a setting that is gone": ("report", START, lambda r: r["spec"]["target_values"].pop("stop_at"), "stop_at"),
    "another's state": ("scores", END, of_batch(state="0" * 64), "state 000000000000"),
    "the model's state": ("scores", END, lambda e: of_batch(state=e["uses"][0]["artifact"])(e), "among its artifacts"),
    "a batch of no facts": ("scores", END, of_batch(facts=0), "number of a batch, or of its facts"),
    "a batch of a far number": ("scores", END, lambda e: e["summary"]["batches"][-1].update(batch=10**15), "batches"),
    "fewer facts than requests": ("scores", END, lambda e: e["summary"]["batches"].pop(), "no "),
}  # fmt: skip
MANIFESTS: dict[str, tuple[str, str, Change, str]] = {
    "a rank beyond the width": ("report", "null_space", lambda m: m["about"].update(rank=10**6), "rank"),
    "a rank of nothing": ("report", "null_space", lambda m: m["about"].update(rank=0), "rank"),
    "no rank": ("report", "null_space", lambda m: m["about"].pop("rank"), "rank"),
    "no spectrum": ("report", "null_space", lambda m: m.update(parents={}), "role spectrum"),
    "an empty role": ("scores", "evaluation", lambda m: m.update(parents={"a": []}), "role state"),
    "another's evaluation": ("scores", "evaluation", lambda m: m["parents"].update(state="0" * 64), "state 000000000"),
    "an unknown dtype": ("ask", "model", lambda m: m["about"].update(dtype="float99"), "'float99'"),
    "nothing about the model": ("ask", "model", lambda m: m.update(about={}), "dtype"),
    "a state of nothing": ("ask", "state", lambda m: m.update(parents={}), "dtype"),
    "a state of itself": ("ask", "state", lambda m: m["parents"].update(state=m["id"]), "its own ancestor"),
}


def test_commands_work_on_a_valid_lake(lake: Path) -> None:
    """The control of the tests below."""
    for question in ("report", "scores", "ask", "export-run", "openlineage"):
        answer = editflow(*words(question, lake), "--lake", lake)
        assert answer.code == 0, answer.err


@pytest.mark.parametrize("name", RECORDS)
def test_an_impossible_run_record_is_refused(lake: Path, name: str) -> None:
    question, file, change, fragment = RECORDS[name]
    (path,) = lake.glob(f"runs/*/{file}")
    changed(path, change)
    refused(editflow(*words(question, lake), "--lake", lake), fragment)


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_impossible_manifest_is_refused(lake: Path, name: str) -> None:
    question, kind, change, fragment = MANIFESTS[name]
    changed(manifest_of(lake, kind), change)
    refused(editflow(*words(question, lake), "--lake", lake), fragment)


def test_empty_entries_of_a_list_are_left_out_of_the_page(lake: Path) -> None:
    (path,) = lake.glob(f"runs/*/{START}")
    changed(path, lambda record: record["spec"].update(seeds=[None, 1, {"a": None}]))
    answer = editflow(*words("report", lake), "--lake", lake)
    assert answer.code == 0, answer.err


def test_a_record_without_a_section_with_defaults_is_packed(lake: Path) -> None:
    (path,) = lake.glob(f"runs/*/{START}")
    changed(path, lambda record: record["spec"].pop("model"))
    answer = editflow(*words("export-run", lake), "--lake", lake)
    assert answer.code == 0, answer.err


def test_a_too_deeply_nested_memory_is_ignored(lake: Path, world: World) -> None:
    for path in lake.glob("fingerprints/*.json"):
        path.write_text("[" * 100_000)
    for question in (("ask", "last", "speaks"), ("plan", world.spec)):
        answer = editflow(*question, "--lake", lake)
        assert answer.code == 0, answer.err


def test_an_impossible_time_in_the_index_does_not_hide_its_run(lake: Path) -> None:
    """`gc` reads start times; DuckDB can represent this year, Python cannot."""
    for change in (lambda _path: None, far_off):  # the first is the control
        for path in lake.glob("catalog/runs/*.parquet"):
            change(path)
        answer = editflow("gc", "--keep-days", 1, "--lake", lake, "--json")
        assert answer.code == 0, answer.err
        assert not any(row["unneeded"] for row in answer.json["kinds"])


def far_off(path: Path) -> None:
    """Every run of a file of the index began in the year 290000."""
    table = parquet.read_table(path)
    place, kind = table.schema.get_field_index("started_at"), table.schema.field("started_at").type
    far = pa.array(["290000-01-01 00:00:00"] * len(table), pa.string()).cast(kind)
    parquet.write_table(table.set_column(place, "started_at", far), path)


@pytest.mark.parametrize("question", ["show", "lineage", "runs", "report", "export-run"])
def test_a_secret_in_a_record_is_not_shown(lake: Path, question: str) -> None:
    """Records of earlier versions and of strangers may contain unredacted secrets."""
    (record,) = lake.glob(f"runs/*/{START}")
    changed(record, of_spec("corpus", source="http://user:Qx7@host/texts.jsonl?token=Qx7"))
    out = lake.parent / "out"
    arguments = {"lineage": ("lineage", "last"), "report": ("report", "last", "--out", out),
             "export-run": ("export-run", "last", "--out", out)}  # fmt: skip
    answer = editflow(
        *arguments.get(question, (question, "last")[: 1 + (question == "show")]), "--json", "--lake", lake
    )
    assert "Qx7" not in answer.out + answer.err
    assert not out.exists() or b"Qx7" not in out.read_bytes()
    assert "Qx7" in record.read_text(), "the control"
