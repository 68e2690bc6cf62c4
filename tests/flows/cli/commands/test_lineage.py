"""Lineage between two artifacts, the sources of a weight change, the results of a fact, and OpenLineage events."""

# ruff: noqa: S608 - the SQL contains only words of the tests

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from support import tiny_world
from support.error_checks import refused
from support.tiny_world import World, editflow

from editflow.editing.requests.record import EditRequest
from editflow.flows.pipeline import stage_settings
from editflow.flows.spec.loading import load_spec
from editflow.storage.artifacts.store import Lake
from editflow.storage.queries.query import lineage, query
from editflow.storage.records.runs import Runs, Use
from editflow.tasks.lineage.openlineage import events
from editflow.tasks.releases.queue import Queue, ReleaseEvent
from editflow.tasks.stages.documents import sample

Event = dict[str, Any]


def used(record: dict[str, Any]) -> dict[str, str]:
    return {use["stage"]: use["artifact"] for use in record["uses"]}


def ids(steps: list[dict[str, Any]]) -> set[str]:
    return {step["id"] for step in steps}


def test_between_two_artifacts_are_those_upstream_of_one_and_downstream_of_the_other(reference) -> None:
    at = used(reference.record)
    asked = editflow("lineage", at["state 2"], "--to", at["contexts"], "--json", "--lake", reference.lake).json
    lake = Lake.open(reference.lake)
    above = {step.id for step in lineage(lake, at["state 2"])}
    below = {step.id for step in lineage(lake, at["contexts"], "down")}
    assert ids(asked) == above & below
    assert ids(asked) >= {at[f"{what} {n}"] for what in ("target values", "keys", "state") for n in (1, 2)}
    assert at["model"] not in ids(asked)
    turned = editflow("lineage", at["contexts"], "--to", at["state 2"], "--json", "--lake", reference.lake).json
    assert ids(turned) == ids(asked)
    assert {(s["id"], s["via"]) for s in asked[1:]} == {(s["via"], s["id"]) for s in turned[1:]}
    tree = editflow("lineage", at["state 2"], "--to", at["contexts"], "--lake", reference.lake)
    assert "null space" not in tree.out
    assert "--open" in tree.err


def test_unconnected_artifacts_have_no_graph(reference) -> None:
    at = used(reference.record)
    words = ["lineage", at["documents"], "--to", at["rewrites 1"], "--lake", reference.lake]
    assert editflow(*words, "--json").json == []
    answer = editflow(*words)
    assert (answer.code, answer.out) == (0, "")
    assert "neither was made from the other" in answer.err
    refused(editflow(*words, "--html", "x.html"), "there is no graph")
    assert len(editflow("lineage", "tiny", "--to", "tiny", "--json", "--lake", reference.lake).json) == 1


def test_the_sources_of_a_weight_change(world: World, reference) -> None:
    """The facts of its batch and of the earlier batches, and the documents of its second moments."""
    at, lake = used(reference.record), Lake.open(reference.lake)
    found = editflow("lineage", at["weight change 2"], "--sources", "--json", "--lake", reference.lake).json
    batches = {row["request"]: row["batch"] for row in found["facts"]}
    for n in (1, 2):
        rows = lake.read(at[f"rewrites {n}"])["request"].to_pylist()
        assert {request for request, batch in batches.items() if batch == n} == set(rows)
    assert len(batches) == 4
    assert {row["folder"] for row in found["models"]} == {str(world.model)}
    spec = load_spec(world.spec)
    drawn = sample(spec.corpus.source, stage_settings.documents(spec, {}))
    sampled = {d.document for split, d in drawn if split == "moments"}
    documents = {row["document"]: row for row in found["documents"]}
    assert set(documents) < sampled
    assert sum(row["tokens"] for row in found["documents"]) == 1500
    assert documents[next(iter(documents))]["title"].startswith("Document ")
    asked = editflow("lineage", at["evaluation before"], "--sources", "--json", "--lake", reference.lake).json
    assert {row["batch"] for row in asked["facts"]} == {None}, "facts that were only asked about were not written"
    sources = editflow("lineage", at["weight change 2"], "--sources", "--lake", reference.lake).out
    assert "4 facts written in 2 batches, 0 asked about" in sources


def test_sql_gives_the_same_sources(reference) -> None:
    at, lake = used(reference.record), Lake.open(reference.lake)
    change = at["weight change 2"]
    found = editflow("lineage", change, "--sources", "--json", "--lake", reference.lake).json
    sql = f"SELECT DISTINCT request FROM upstream('{change[:12]}') JOIN requests USING (artifact)"
    assert {row["request"] for row in query(lake, sql).to_pylist()} == {row["request"] for row in found["facts"]}
    sql = f"SELECT document, sum(tokens) AS n FROM upstream('{change}') JOIN corpus USING (artifact) GROUP BY ALL"
    rows = {row["document"]: int(row["n"]) for row in query(lake, sql).to_pylist()}
    wanted: dict[str, int] = {}
    for row in found["documents"]:
        wanted[row["document"]] = wanted.get(row["document"], 0) + row["tokens"]
    assert rows == wanted


def test_the_results_of_a_fact(reference, copied: Path) -> None:
    """Evaluations of states that were edited with it, evaluations that only ask about it, and every release with it."""
    at, lake = used(reference.record), Lake.open(copied)
    fact = lake.read(at["rewrites 2"])["request"][0].as_py()
    queue = Queue(lake.files, "current")
    queue.submit([EditRequest("q", "{} is", "it", "new", "old")])
    for state in ("state 1", "state 2", "state 3"):
        queue.append_event(
            ReleaseEvent("settle", "2026-01-01T00:00:00.000+00:00", (), state=at[state]), queue.state().version
        )
    queue.append_event(ReleaseEvent("rollback", "2026-01-02T00:00:00.000+00:00", to=2), queue.state().version)
    found = editflow("lineage", f"request:{fact}", "--results", "--json", "--lake", copied).json
    rows = {row["stage"]: (row["edited"], row["asked"]) for row in found["evaluations"]}
    assert rows == {
        "evaluation before": (False, True),
        "evaluation of batch 2": (True, True),
        "evaluation of batch 3": (True, False),
        "evaluation after": (True, True),
        "perplexity after": (True, False),
    }
    assert {row["run"] for row in found["evaluations"]} == {reference.record["run_id"]}
    assert {row["state"] for row in found["evaluations"] if row["edited"]} == {at["state 2"], at["state 3"]}
    assert [(row["release"], row["stands"]) for row in found["releases"]] == [(2, True), (3, False)]
    assert (found["names"], found["states"]) == (["tiny"], 2)
    results = editflow("lineage", f"request:{fact}", "--results", "--lake", copied)
    assert "evaluation of batch 2" in results.out
    assert f"request:{fact}" in results.err


def test_a_run_that_reused_everything_has_the_complete_lineage(world: World, reference, copied: Path) -> None:
    """In SQL and in its events."""
    again = tiny_world.record_directly(world.spec, copied)
    assert {use.how for use in again.uses} == {"reused"}
    lake = Lake.open(copied)
    sql = f"SELECT artifact FROM uses WHERE run_id = '{again.run_id}' AND how = 'reused'"
    recorded = {row["artifact"] for row in query(lake, sql).to_pylist()}
    assert recorded == {use["artifact"] for use in reference.record["uses"]}
    assert {step.id for step in lineage(lake, str(again.state))} <= recorded
    assert edges(events(lake, again)) == edges(events(lake, Runs(lake.files).get(reference.record["run_id"])))


def edges(found: list[Event]) -> set[tuple[str, str]]:
    """The (input, output) pairs of all events that end a stage."""
    ends = [event for event in found if event["eventType"] == "COMPLETE" and "parent" in event["run"]["facets"]]
    return {(one["name"], out["name"]) for event in ends for one in event["inputs"] for out in event["outputs"]}


SCHEMA = json.loads((Path(__file__).parents[3] / "support" / "openlineage" / "schema.json").read_text(encoding="utf-8"))
FORMATS = FormatChecker()
FORMATS.checks("date-time", ValueError)(lambda text: datetime.fromisoformat(text).tzinfo is not None)
FORMATS.checks("uri")(lambda text: ":" in text)


def faults(event: Event) -> list[str]:
    """The errors of an event under the schema, and of each facet under the facet's own schema."""
    found = list(Draft202012Validator(SCHEMA, format_checker=FORMATS).iter_errors(event))
    holders = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    for holder in holders if not found else []:
        kinds = ("facets", "inputFacets", "outputFacets")
        for name, facet in [pair for kind in kinds for pair in holder.get(kind, {}).items()]:
            assert facet["_schemaURL"] in SCHEMA["facets"] or name.startswith("editflow_"), name
            own = {**SCHEMA["facets"].get(facet["_schemaURL"], {}), "$defs": SCHEMA["$defs"]}
            found += Draft202012Validator(own, format_checker=FORMATS).iter_errors(facet)
    return [error.message for error in found]


def test_openlineage_events_are_valid(reference, copied: Path, tmp_path: Path) -> None:
    lake, out = Lake.open(copied), tmp_path / "events.jsonl"
    answer = editflow("export-run", "last", "--openlineage", "--out", out, "--lake", copied, "--json")
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert answer.json == {"run": reference.record["run_id"], "file": str(out), "events": len(found)}
    assert len(found) == 2 + 2 * len(reference.record["uses"])
    assert [fault for event in found for fault in faults(event)] == []
    assert found[0]["eventType"] == "START"
    assert found[-1]["eventType"] == "COMPLETE"
    assert [one["name"] for one in found[-1]["outputs"]] == [reference.record["state"]]
    kept = {(row["parent"], row["child"]) for row in query(lake, "SELECT parent, child FROM edges").to_pylist()}
    assert {(one, out) for one, out in edges(found) if "/" not in one} == kept
    runs = Runs(lake.files)
    failed = runs.start("half", {})
    use = Use(used(reference.record)["documents"], "documents", "reused")
    half = events(lake, runs.finish(failed, "failed", message="no room", uses=[use]))
    assert [fault for event in half for fault in faults(event)] == []
    assert [event["eventType"] for event in half] == ["START", "START", "COMPLETE", "FAIL"]
    assert half[-1]["run"]["facets"]["errorMessage"]["message"] == "no room"


def test_the_schema_finds_invalid_events(reference) -> None:
    """Control of the test above."""
    lake = Lake.open(reference.lake)
    event = events(lake, Runs(lake.files).get(reference.record["run_id"]))[-1]
    whole = json.dumps(event)
    for was, broken in (
        ('"runId"', '"run_id"'),
        ('"eventType": "COMPLETE"', '"eventType": "DONE"'),
        ('"eventTime": "2', '"eventTime": "x'),
        (event["run"]["runId"], "17"),
        ('"namespace": "editflow"', '"place": "editflow"'),
        ('"_producer"', '"producer"'),
        ('"_schemaURL"', '"schema"'),
        ('"rowCount": ', '"rowCount": "many", "rows": '),
        ('"datasetVersion"', '"digest"'),
        ('"processingType"', '"type"'),
    ):
        assert was in whole
        assert faults(json.loads(whole.replace(was, broken))), was


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["tiny", "--down", "--to", "tiny"], "--down and --to exclude each other"),
        (["tiny", "--sources", "--results"], "--sources and --results exclude each other"),
        (["tiny", "--sources", "--open"], "--sources prints a table"),
        (["tiny", "--to", "ffffffffffff"], "no artifact begins with it"),
        (["request:1"], "--results"),
        (["request:nobody", "--results"], "0 facts, documents and artifacts"),
        (["ffffffffffff", "--sources"], "no artifact begins with it"),
        (["tiny", "--html", "no/such/page.html"], "no folder no/such to write the graph to"),
        (["tiny", "--html", "."], "--html . is a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_invalid_input_is_refused_in_one_line(reference, words: list[str], fragment: str) -> None:
    refused(editflow("lineage", *words, "--lake", reference.lake), fragment)


def test_a_page_with_too_many_artifacts_is_refused(reference, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("editflow.tasks.lineage.lineage_page.MAX_ARTIFACTS", 5)
    out = tmp_path / "graph.html"
    refused(
        editflow("lineage", "tiny", "--html", out, "--lake", reference.lake), "more than the 5 that a page can show"
    )
    assert not out.exists()
