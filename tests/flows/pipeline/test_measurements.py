"""Every measurement in one run of the tiny world; measurements without data are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docs.generate import blocks
from support import tiny_world
from support.tiny_measurements import MEASURES, everything
from support.tiny_world import World, editflow

from editflow.flows.pipeline.facts import load_facts
from editflow.flows.pipeline.measurements import questions
from editflow.flows.reproduction.export_bundle import export_bundle
from editflow.flows.reproduction.recorded_runs import BundledRun, RerunOptions
from editflow.flows.spec.recorded_spec import input_sources, recorded_spec
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs

ALL = ("efficacy", "paraphrase", "neighbourhood", "locality", "portability")


@pytest.fixture(scope="module")
def whole(world: World, server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Lake and record of a run that measures everything."""
    del server
    folder = tmp_path_factory.mktemp("measures")
    given = everything(folder)
    return folder / "lake", tiny_world.run(world.spec, folder / "lake", *given)


def test_every_metric_is_named_before_and_after(whole: tuple[Path, dict[str, Any]]) -> None:
    _, record = whole
    for when in ("before", "after"):
        found = record["summary"][when]
        assert list(found) == [*ALL, "score", "perplexity", "texts", "ability"]
        assert set(found["locality"]) == {"accuracy", "token accuracy", "token accuracy as published"}
        assert {"success", "magnitude"} <= set(found["efficacy"])
        asked = {way: scores["count"] for way, scores in found["ability"]["sst2"].items()}
        assert asked == {"likelihood": 3, "generation": 3}
        assert {"fluency", "consistency", "essence", "efficacy free exact"} <= set(found["texts"])


def test_drift_is_measured_only_for_the_edited_model(whole: tuple[Path, dict[str, Any]]) -> None:
    lake, record = whole
    labels = [use["stage"] for use in record["uses"]]
    assert "drift after" in labels
    assert "drift before" not in labels
    rows = editflow("query", "SELECT layer, metric, value FROM drifts", "--lake", lake, "--json").json
    assert {row["layer"] for row in rows} == {0, 1, 2}
    assert any(row["value"] > 0 for row in rows)


@pytest.mark.parametrize("sql", blocks("queries.md", "sql"))
def test_every_query_in_the_documents_returns_rows(whole: tuple[Path, dict[str, Any]], sql: str) -> None:
    lake, record = whole
    answer = editflow("query", sql, "--lake", lake, "--json")
    assert answer.code == 0, answer.err
    assert answer.json
    if "AS forgotten" in sql:
        last = record["summary"]["batches"][-1]["facts"]  # no earlier batch can be forgotten yet
        assert [(row["relation"], row["facts"]) for row in answer.json] == [("r", record["summary"]["facts"] - last)]


def test_the_documents_have_ten_queries() -> None:
    assert len(blocks("queries.md", "sql")) >= 10


@pytest.mark.exhaustive
def test_a_second_run_reuses_every_measurement(whole: tuple[Path, dict[str, Any]], world: World) -> None:
    lake, record = whole
    again = tiny_world.run(world.spec, lake, *everything(lake.parent))
    assert {use["how"] for use in again["uses"]} == {"reused"}
    assert again["summary"] == record["summary"]


@pytest.mark.exhaustive
def test_measuring_more_changes_no_edit(whole: tuple[Path, dict[str, Any]], world: World) -> None:
    lake, record = whole
    plain = tiny_world.run(world.spec, lake, f"requests.source={record['spec']['requests']['source']}")
    assert plain["state"] == record["state"]
    assert not {"texts", "locality"} & set(plain["summary"]["after"])


@pytest.mark.exhaustive
def test_metrics_without_data_are_left_out(world: World, tmp_path: Path) -> None:
    """CounterFact-like facts without questions: the run reports which of the requested measurements exist."""
    record = tiny_world.run(world.spec, tmp_path / "lake", *MEASURES)
    found = record["summary"]["after"]
    assert not {"locality", "portability"} & set(found)
    assert "consistency" not in found["texts"]
    for command in ("scores", "show"):
        answer = editflow(command, record["run_id"], "--lake", tmp_path / "lake")
        lacking = [line.split()[0] for line in answer.out.splitlines() if "not available" in line]
        assert lacking == ["locality", "portability", "fluency", "consistency", "essence"]
    kinds = {m.kind for m in Lake.open(tmp_path / "lake").manifests()}
    assert "questions" not in kinds


@pytest.mark.exhaustive
def test_scores_and_report_show_every_measurement(whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    lake, record = whole
    run = record["run_id"]
    rows = {row["metric"]: row for row in editflow("scores", run, "--lake", lake, "--json").json}
    summary = record["summary"]
    for when in ("before", "after"):
        for name, value in summary[when]["texts"].items():
            factor = 100 if "free" in name else 1
            assert rows[name][when]["value"] == pytest.approx(factor * value, abs=0.01)
        for way, scores in summary[when]["ability"]["sst2"].items():
            shown_scores = {"accuracy": scores["accuracy"], "weighted F1": scores["f1"]}
            shown_scores["no answer"] = 100 * scores["failures"] / scores["count"]
            for name, value in shown_scores.items():
                assert rows[f"sst2 {name}, by {way}"][when]["value"] == pytest.approx(value, abs=0.01)
    assert editflow("report", run, "--out", tmp_path / "r.html", "--lake", lake).code == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("after the last batch</figcaption>") == 3
    assert "Drift of hidden states" in page
    assert "essence" in page


def test_a_bundle_contains_every_input_of_the_run(whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Also reference texts and questions; read from the bundle, they give the same facts and cases."""
    lake, record = whole
    found = export_bundle(Lake.open(lake), Runs(Lake.open(lake).files).get(record["run_id"]))
    assert set(found.inputs) == {"requests.source", "requests.references", "corpus.source", "ability.sets.sst2"}
    there, here = recorded_spec(found.record), BundledRun(found).with_inputs(tmp_path, RerunOptions())
    assert all(Path(source).is_relative_to(tmp_path) for source in input_sources(here).values())
    assert load_facts(here.requests) == load_facts(there.requests)
    assert questions(here) == questions(there)
