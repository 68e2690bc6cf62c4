"""runs, show, lineage, query and ask read the lake; the first four import neither torch nor Prefect."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import tiny_world
from support.tiny_world import editflow

from editflow.storage.artifacts.store import Lake

COMMANDS = "fetch run runs show lineage query compare ask report doctor verify completion rerun export-run".split()

LIGHT = """
import json, sys
from editflow.flows.cli.main import main

for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, arguments
heavy = sorted({"torch", "transformers", "prefect", "datasets"} & sys.modules.keys())
print("heavy:", heavy, file=sys.stderr)
"""


def test_reading_imports_neither_torch_nor_prefect(reference, tmp_path: Path) -> None:
    lake, state = ["--lake", str(reference.lake)], reference.record["state"]
    calls = [
        ["runs", *lake],
        ["runs", "--json", *lake],
        ["show", "tiny", *lake],
        ["lineage", state, *lake],
        ["lineage", state[:8], "--down", *lake],
        ["lineage", state, "--to", state, *lake],
        ["lineage", state, "--sources", *lake],
        ["lineage", state, "--results", *lake],
        ["export-run", "last", "--openlineage", "--out", str(tmp_path / "events.jsonl"), *lake],
        ["query", "SELECT kind, count(*) FROM artifacts GROUP BY kind", *lake],
        ["verify", *lake],
        ["completion", "bash"],
        ["--help"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, json.dumps(calls)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "heavy: []"


def test_a_record_has_code_packages_and_machine(reference) -> None:
    environment = editflow("show", "last", "--lake", reference.lake, "--json").json["environment"]
    assert {"constraints", "installed", "processor", "threads", "device", "python", "torch"} <= environment.keys()
    manifest = tiny_world.artifacts(reference.lake, "state")[0]
    assert "installed" not in manifest.environment, "it is the run's: every artifact names its run"
    assert manifest.created_by == reference.record["run_id"]


def test_the_import_check_sees_torch() -> None:
    """Control: the check reports torch if a command imports it."""
    script = LIGHT.replace(
        "from editflow.flows.cli.main import main", "from editflow.flows.cli.main import main; import torch"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, '[["--help"]]'], capture_output=True, text=True, check=True, timeout=120
    )
    assert "'torch'" in done.stderr


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=["editflow", *COMMANDS])
def test_every_command_has_help(command: list[str]) -> None:
    answer = editflow(*command, "--help")
    assert answer.code == 0
    assert answer.err == ""
    assert "Usage" in answer.out
    if command:
        assert answer.out.count("\n") > 3
    else:
        assert all(name in answer.out for name in COMMANDS)


def test_the_version_is_printed() -> None:
    from importlib.metadata import version

    assert version("editflow") in editflow("--version").out


def test_runs_are_listed(reference) -> None:
    (row,) = editflow("runs", "--json", "--lake", reference.lake).json
    assert (row["run"], row["name"], row["status"]) == (reference.record["run_id"], "tiny", "completed")
    assert (row["created"], row["reused"], row["facts"]) == (len(reference.record["uses"]), 0, 6)
    table = editflow("runs", "--lake", reference.lake)
    assert reference.record["run_id"] in table.out.replace("\n", "")
    assert "completed" in table.out


def test_sums_are_numbers_in_json(reference) -> None:
    """DuckDB sums integers as decimals; JSON has a number."""
    sql = "SELECT sum(bytes) AS bytes, sum(bytes)::DECIMAL(20, 1) / 4 AS part FROM artifacts"
    (row,) = editflow("query", sql, "--json", "--lake", reference.lake).json
    assert row["bytes"] == sum(m.bytes for m in Lake.open(reference.lake).manifests())
    assert abs(row["part"] - row["bytes"] / 4) < 1


@pytest.mark.parametrize("name", ["tiny", "last", "id", "prefix"])
def test_show_accepts_every_name_of_a_run(reference, name: str) -> None:
    run_id = reference.record["run_id"]
    wanted = {"id": run_id, "prefix": run_id[:-2]}.get(name, name)
    record = editflow("show", wanted, "--json", "--lake", reference.lake).json
    assert record == reference.record


def test_show_prints_tables(reference) -> None:
    answer = editflow("show", "last", "--lake", reference.lake)
    assert answer.code == 0
    for text in ("efficacy success %", "held-out perplexity", "target values 3", "null space of layer 2"):
        assert text in answer.out


def test_upstream_of_the_state_are_model_and_corpus(reference) -> None:
    state = reference.record["state"]
    steps = editflow("lineage", state, "--json", "--lake", reference.lake).json
    assert steps[0] == {"depth": 0, "id": state, "kind": "state", "role": None, "via": None}
    kinds = {step["kind"] for step in steps}
    assert {"model", "documents", "tokens", "second_moment", "null_space", "requests", "target_values"} <= kinds
    assert not {"evaluation", "perplexity"} & kinds
    assert editflow("lineage", state, "--up", "--json", "--lake", reference.lake).json == steps
    tree = editflow("lineage", state, "--lake", reference.lake).out
    assert all(f"{step['kind']} {step['id'][:12]}" in tree for step in steps)


def test_downstream_of_the_corpus_is_the_last_evaluation(reference) -> None:
    documents = tiny_world.artifacts(reference.lake, "documents")[0]
    steps = editflow("lineage", documents.id[:10], "--down", "--json", "--lake", reference.lake).json
    assert reference.record["state"] in {step["id"] for step in steps}
    assert {"perplexity", "evaluation"} <= {step["kind"] for step in steps}
    assert "model" not in {step["kind"] for step in steps}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT count(*) AS n FROM edits", [{"n": 6}]),
        ("SELECT count(*) AS n FROM (SELECT DISTINCT artifact, depth FROM states)", [{"n": 3}]),
        ("SELECT count(DISTINCT layer) AS n FROM spectra", [{"n": 3}]),
        ("SELECT status FROM runs", [{"status": "completed"}]),
        ("SELECT DISTINCT how FROM uses", [{"how": "created"}]),
        ("SELECT relation FROM requests WHERE false", []),
        ("SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a", [{"a": 1, "a_3": 2, "a_2": 3, "a_4": 4}]),
        (
            "SELECT 'nan'::DOUBLE AS a, ['-inf'::FLOAT, 1] AS b, {'c': 'inf'::DOUBLE} AS c",
            [{"a": None, "b": [None, 1], "c": {"c": None}}],
        ),
    ],
)
def test_queries_are_answered(reference, sql: str, expected: list[object]) -> None:
    assert editflow("query", sql, "--json", "--lake", reference.lake).json == expected


def test_columns_of_the_same_name_are_kept(reference) -> None:
    head, row = editflow("query", "SELECT 7 AS a, 8 AS a, 9 AS a", "--lake", reference.lake).out.splitlines()
    assert (head.split(), row.split()) == (["a", "a_2", "a_3"], ["7", "8", "9"])


def test_sql_gives_the_scores_of_the_summary(reference) -> None:
    """The printed table can be recomputed from the lake."""
    sql = f"""
        SELECT metric, round(100 * avg(mean), 2) AS success FROM (
            SELECT metric, request, avg(success) AS mean FROM evaluations
            WHERE state = '{reference.record["state"]}' AND requests = (
                SELECT requests FROM evaluations GROUP BY requests ORDER BY count(DISTINCT request) DESC LIMIT 1)
            GROUP BY metric, request)
        GROUP BY metric"""  # noqa: S608
    rows = editflow("query", sql, "--json", "--lake", reference.lake).json
    after = reference.record["summary"]["after"]
    assert {row["metric"]: row["success"] for row in rows} == {
        metric: after[metric]["success"] for metric in ("efficacy", "paraphrase", "neighbourhood")
    }


def test_ask_prints_the_answers_of_both_models(reference) -> None:
    prompt = "the city of"
    answer = editflow("ask", "last", prompt, "--tokens", "5", "--json", "--lake", reference.lake).json
    assert answer["run"] == reference.record["run_id"]
    assert answer["base"].startswith(prompt)
    assert answer["edited"].startswith(prompt)
    table = editflow("ask", "tiny", prompt, "--tokens", "2", "--lake", reference.lake)
    assert "base" in table.out
    assert "edited" in table.out


def test_the_lake_may_come_from_the_environment(reference, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDITFLOW_LAKE", str(reference.lake))
    assert len(editflow("runs", "--json").json) == 1
    monkeypatch.delenv("EDITFLOW_LAKE")
    monkeypatch.chdir(tmp_path)
    assert editflow("runs").code == 2  # control: no ./lake here
