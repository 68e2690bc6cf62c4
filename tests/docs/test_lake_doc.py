"""The queries of docs/lake.md give the right rows on a known lake; its lists match the code."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from docs.generate import DOCS, blocks
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.queries.query import query
from editflow.tasks.stages.evaluation import summarise

QUESTIONS = blocks("lake.md", "sql")


def test_success_equals_the_run_summary(lake: Lake) -> None:
    """One of two facts succeeds, with two prompts versus one: a mean over prompts would be 66.67."""
    (sql,) = (text for text in QUESTIONS if "WITH cases" in text)
    found = {row["stage"]: row["success"] for row in query(lake, sql).to_pylist()}
    assert found == {"evaluation before": 0.0, "evaluation after": 50.0}
    uses = query(lake, "SELECT artifact FROM uses WHERE stage = 'evaluation after'").to_pylist()
    assert summarise(lake, uses[0]["artifact"])["efficacy"]["success"] == found["evaluation after"]


def test_failed_facts_are_those_without_success(lake: Lake) -> None:
    (sql,) = (text for text in QUESTIONS if "e.success = 0" in text)
    assert [row["subject"] for row in query(lake, sql).to_pylist()] == ["subject b"]


def test_the_manifests_fields_are_listed() -> None:
    text = (DOCS / "lake.md").read_text(encoding="utf-8")
    table = text.partition("## Manifests")[2].partition("## Digests")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [f.name for f in dataclasses.fields(Manifest)]


def test_the_folders_of_a_lake_are_listed(lake: Lake) -> None:
    tree = (DOCS / "lake.md").read_text(encoding="utf-8").partition("## Folders")[2].partition("## Manifests")[0]
    named = set(re.findall(r"^ {6}([a-z]+)/", tree, re.MULTILINE))
    assert {path.name for path in Path(lake.uri).iterdir()} <= named
    kept = {"artifacts", "runs", "catalog", "conflicts", "refs", "queues", "releases", "notices", "inputs", "removed"}
    assert named == {*kept, "fingerprints", "prefect"}
