"""SQL over a lake: the views give the right rows, and only one SELECT over them is allowed."""

# ruff: noqa: S608 - the SQL is built from constants of this test

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from editflow.storage.artifacts import kinds
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import MissingPayload, QueryRefused, UnknownArtifact
from editflow.storage.queries.query import connect, lineage, query
from editflow.storage.queries.views import VIEWS, views

ALLOWED = [
    "SELECT count(*) FROM artifacts",
    "FROM runs",
    "VALUES (1), (2)",
    "TABLE uses",
    "DESCRIBE evaluations",
    "SUMMARIZE perplexities",
    "SELECT unnest([1, 2]), n FROM range(3) t(n), generate_series(1, 2)",
    "WITH done AS (SELECT * FROM runs WHERE status = 'completed') SELECT * FROM done",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
    "SELECT id[:8], spec->>'$.name', kind LIKE 's%', created_at - INTERVAL 1 DAY, year(created_at) FROM artifacts",
    "SELECT relation, avg(success), quantile_cont(nll_new, 0.5), exp(sum(nll_true)) "
    "FROM evaluations JOIN requests USING (request) GROUP BY 1 HAVING count(*) > 0 ORDER BY 2 DESC LIMIT 3",
    "SELECT state, exp(sum(nll) / sum(tokens)) AS perplexity FROM perplexities GROUP BY state",
    "SELECT set, way, 100 * avg(correct), count(*) FILTER (WHERE predicted IS NULL) FROM abilities GROUP BY ALL",
    "SELECT kind, row_number() OVER (PARTITION BY kind ORDER BY id), lag(id) OVER (ORDER BY id) FROM artifacts",
    "SELECT CASE WHEN steps > 1 THEN 'a' ELSE 'b' END, steps::DOUBLE / 2, coalesce(loss, 0), round(kl, 2) FROM edits",
    "SELECT * FROM states WHERE artifact IN (SELECT child FROM edges) AND EXISTS (SELECT 1 FROM runs)",
    "SELECT * FROM artifacts USING SAMPLE 2",
    "SELECT u.kind, max(depth), count(*) FROM upstream('') u JOIN artifacts a ON a.id = u.artifact GROUP BY 1",
    "SELECT count(*) FROM Downstream((SELECT min(id) FROM artifacts)) WHERE artifact NOT IN (SELECT parent FROM edges)",
]
REFUSED = [
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'data.csv'",
    "FROM 'http://host/data.parquet'",
    "TABLE '/etc/passwd'",
    "DESCRIBE '/etc/passwd'",
    "SUMMARIZE SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM READ_CSV('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM parquet_metadata('x.parquet')",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM runs WHERE name IN (SELECT content FROM read_blob('/etc/passwd'))",
    "WITH a AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM a",
    'WITH "/etc/passwd" AS (SELECT 1) SELECT * FROM "/etc/passwd"',
    "SELECT * FROM query('SELECT 1')",
    "SELECT upstream('a')",
    "SELECT * FROM upstream((SELECT content FROM read_text('/etc/passwd')))",
    "SELECT * FROM other.upstream('a')",
    "SELECT * FROM query_table('artifacts')",
    "SELECT getenv('HOME')",
    "SELECT GetEnv('HOME')",
    "SELECT current_setting('threads')",
    "SELECT which_secret('a', 's3')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM index_runs",
    "SELECT * FROM memory.main.runs",
    "SELECT * FROM payload_requests",
    "SELECT table_name FROM duckdb_tables, (WITH duckdb_tables AS (SELECT 1) SELECT 1 z)",
    "SELECT count(*) FROM payload_state, (WITH payload_state AS (SELECT 1) SELECT 1 z)",
    "SHOW TABLES",
    "ATTACH 'other.db'",
    "COPY (SELECT 1) TO '/tmp/x'",
    "COPY runs TO '/tmp/x.csv'",
    "EXPORT DATABASE '/tmp/x'",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "SET threads = 1",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CREATE TABLE t AS SELECT 1",
    "DROP VIEW runs",
    "INSERT INTO index_runs SELECT * FROM index_runs",
    "DELETE FROM index_runs",
    "UPDATE index_runs SET name = 'x'",
    "SELECT 1; DROP VIEW runs",
    "SELECT 1; SELECT 2",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE x AS SELECT 1",
    "BEGIN",
    "",
    "SELEC 1",
    "SELECT nope FROM runs",
    "SELECT * FROM python_variable",
    "SELECT " + " + ".join(["1"] * 900),
    "WITH t AS (SELECT 1 AS a) PIVOT t ON a USING sum(a)",
]


@pytest.mark.parametrize("sql", ALLOWED)
@pytest.mark.usefixtures("edited")
def test_allowed_queries_return_rows(sql: str, lake: Lake) -> None:
    assert query(lake, sql).num_rows > 0


@pytest.mark.parametrize("sql", REFUSED)
def test_forbidden_queries_are_refused_in_one_line(sql: str, lake: Lake) -> None:
    python_variable = pa.table({"a": [1]})
    with pytest.raises(QueryRefused, match=r"^[^\n]+$"):
        query(lake, sql)
    assert python_variable.num_rows == 1


def test_statements_without_a_parse_tree_are_explained(lake: Lake) -> None:
    with pytest.raises(QueryRefused, match="PIVOT"):
        query(lake, "WITH t AS (SELECT 1 AS a) PIVOT t ON a USING sum(a)")
    with pytest.raises(QueryRefused, match="nested too deeply"):
        query(lake, "SELECT " + " + ".join(["1"] * 900))


def test_the_locked_connection_alone_protects_files_and_settings(lake: Lake, tmp_path: Path) -> None:
    """The lock without the guard."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    python_variable = pa.table({"a": [1]})
    connection = connect(lake)
    for sql in (
        f"SELECT * FROM '{tmp_path}/secret.csv'",
        f"SELECT * FROM read_text('{tmp_path}/secret.csv')",
        f"SELECT * FROM read_text('{lake.uri}/artifacts/../../secret.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.db'",
        "SELECT * FROM python_variable",
        "SET enable_external_access = true",
        "SET threads = 1",
        "SET allowed_directories = ['/']",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(sql)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lake", "secret.csv"]
    assert connection.execute("SELECT 1").fetchall() == [(python_variable.num_rows,)]


def test_an_empty_lake_has_every_view_with_its_columns(lake: Lake) -> None:
    described = {view.name: view for view in views()}
    assert tuple(described) == VIEWS
    for name in VIEWS:
        result = query(lake, f"SELECT * FROM {name}")
        assert result.num_rows == 0
        assert result.column_names == [column for column, _ in described[name].columns]
        assert described[name].about.startswith("One row per ")


def test_a_full_lake_has_the_same_columns(lake: Lake, edited: dict[str, str]) -> None:
    assert edited
    for view in views():
        rows = query(lake, f"DESCRIBE {view.name}").to_pylist()
        assert [(row["column_name"], row["column_type"]) for row in rows] == list(view.columns)


def test_views_have_the_ids_of_their_subjects(lake: Lake, edited: dict[str, str]) -> None:
    def ids(view: str, *columns: str) -> list[tuple[Any, ...]]:
        rows = query(lake, f"SELECT DISTINCT {', '.join(columns)} FROM {view} ORDER BY ALL").to_pylist()
        return [tuple(row.values()) for row in rows]

    state, requests = edited["state2"], edited["requests"]
    assert ids("evaluations", "artifact", "state", "requests") == [(edited["evaluation"], state, requests)]
    assert ids("perplexities", "artifact", "state", "documents") == [(edited["perplexity"], state, edited["documents"])]
    assert ids("abilities", "artifact", "state", "cases") == [(edited["ability"], state, edited["cases"])]
    assert ids("states", "depth", "artifact", "parent") == [
        (0, edited["state0"], None),
        (1, edited["state1"], edited["state0"]),
        (2, edited["state2"], edited["state1"]),
    ]
    assert sorted(ids("edits", "artifact", "state", "requests", "subject")) == sorted(
        (edited[f"values{n}"], edited[f"state{n}"], requests, f"subject{k}") for n in (0, 1) for k in (0, 1)
    )
    assert ids("uses", "how", "run_id") == [("created", edited["run"]), ("reused", edited["run"])]
    assert ids("runs", "status", "state") == [("completed", state)]


def test_ability_answers_are_joined_with_their_questions(lake: Lake, table: Callable[..., pa.Table]) -> None:
    cases = lake.write("ability_cases", 1, {}, {}, table("ability_cases", 3, prompt=["a", "b", "c"])).id
    answers = {"label": ["Yes", "Yes", "No"], "predicted": ["Yes", None, "Yes"], "nlls": [[1.0], None, None]}
    lake.write("ability", 1, {}, {"cases": cases}, table("ability", 3, **answers))
    rows = query(lake, "SELECT prompt, correct, nlls FROM abilities ORDER BY prompt").to_pylist()
    assert [tuple(row.values()) for row in rows] == [("a", 1.0, [1.0]), ("b", 0.0, None), ("c", 0.0, None)]


def test_missing_payloads_are_left_out(lake: Lake, edited: dict[str, str]) -> None:
    lake.discard_payload(edited["evaluation"])
    assert query(lake, "SELECT * FROM evaluations").num_rows == 0
    with pytest.raises(MissingPayload):
        lake.read(edited["evaluation"])


def test_spectra_of_an_older_version_stay_readable(
    lake: Lake, table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 1 had other columns; a lake may hold both versions, or version 1 alone."""
    old = pa.schema([("layer", pa.int32()), ("i", pa.int32()), ("eigenvalue", pa.float64())])
    old = old.append(pa.field("vector", pa.list_(pa.float64())))
    with monkeypatch.context() as patch:
        patch.setitem(kinds.KINDS, "spectrum", kinds.Kind("spectrum", old, ""))
        lake.write("spectrum", 1, {}, {}, table("spectrum", 3))
    assert query(lake, "SELECT i, eigenvalue FROM spectra ORDER BY i").num_rows == 3
    lake.write("spectrum", 2, {}, {}, table("spectrum", 2))
    assert query(lake, "SELECT i, eigenvalue FROM spectra").num_rows == 5


def test_lineage_up_and_down(lake: Lake, edited: dict[str, str]) -> None:
    names = {id_: name for name, id_ in edited.items()}
    up = [(s.depth, names[s.id], s.role, names.get(s.via or "")) for s in lineage(lake, edited["state1"][:10])]
    assert up[0] == (0, "state1", None, None)
    assert sorted(up[1:], key=repr) == [
        (1, "state0", "state", "state1"),
        (1, "state0", "state", "values0"),
        (1, "values0", "values", "state1"),
        (2, "model", "model", "state0"),
        (2, "requests", "requests", "values0"),
    ]
    down = lineage(lake, edited["state1"], "down")
    assert {names[step.id] for step in down} == {"state1", "values1", "state2", "evaluation", "perplexity", "ability"}
    assert [step.depth for step in down] == sorted(step.depth for step in down)
    assert [s.kind for s in lineage(lake, edited["model"])] == ["model"]
    with pytest.raises(UnknownArtifact):
        lineage(lake, "f" * 64)


def test_sql_walks_equal_python_walks(lake: Lake, edited: dict[str, str]) -> None:
    for direction, function in (("up", "upstream"), ("down", "downstream")):
        found = query(lake, f"SELECT artifact, kind, depth FROM {function}('{edited['state1'][:12]}')").to_pylist()
        steps = lineage(lake, edited["state1"], direction)
        assert {(row["artifact"], row["kind"], row["depth"]) for row in found} == {
            (s.id, s.kind, s.depth) for s in steps
        }
        assert len(found) == len({step.id for step in steps})


def test_corpus_has_one_row_per_document(lake: Lake, table: Callable[..., pa.Table]) -> None:
    """A tokens artifact has several rows per document, one per window."""
    rows = table("documents", 2, document=["a", "b"], title=["A", "B"], split=["moments", "heldout"])
    documents = lake.write("documents", 1, {}, {}, rows).id
    windows = table("tokens", 3, document=["a", "a", "b"], ids=[[1, 2], [3], [4]])
    tokens = lake.write("tokens", 1, {}, {"documents": documents}, windows).id
    assert query(lake, "SELECT * FROM corpus ORDER BY document").to_pylist() == [
        {"artifact": tokens, "documents": documents, "document": "a", "title": "A", "split": "moments", "tokens": 3},
        {"artifact": tokens, "documents": documents, "document": "b", "title": "B", "split": "heldout", "tokens": 1},
    ]


def test_a_walk_visits_each_artifact_once(lake: Lake, table: Callable[..., pa.Table]) -> None:
    """Two paths lead from each state to the next: enumerating paths would take 2^40 steps."""
    state = lake.write("state", 1, {}, {}, table("state")).id
    for _ in range(40):
        values = lake.write("target_values", 1, {}, {"state": state}, table("target_values")).id
        state = lake.write("state", 1, {}, {"state": state, "values": values}, table("state")).id
    steps = lineage(lake, state)
    assert len(steps) == 1 + 3 * 40
    assert max(step.depth for step in steps) == 40


def test_storage_needs_neither_torch_nor_prefect() -> None:
    """Importing storage stays fast, and storage is independent of editing and flows."""
    modules = [path for path in (ROOT / "storage").rglob("*.py") if path.name != "__init__.py"]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules]
    code = "import sys, " + ", ".join(f"editflow.{name}" for name in names) + "; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    names = {name.partition(".")[0] for name in loaded.stdout.split()}
    assert "duckdb" in names
    assert not names & {"torch", "prefect", "transformers", "pandas"}
    packages = {name.split(".")[1] for name in loaded.stdout.split() if name.startswith("editflow.")}
    assert packages == {"storage"}


ROOT = Path(__file__).parents[3]
