"""Results do not change if the index is lost, outdated, or written by several processes."""

# ruff: noqa: S608 - the SQL is put together from the test's own words

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

import pyarrow as pa
import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import LakeNotWritable
from editflow.storage.index.catalog import Catalog
from editflow.storage.queries.query import connect, lineage, query
from editflow.storage.queries.views import VIEWS
from editflow.storage.records.runs import Runs, Use

pytestmark = pytest.mark.slow

WRITER = """
import sys
from editflow.storage.index.catalog import Catalog
from editflow.storage.records.runs import Use
from editflow.storage.artifacts.store import Lake
catalog = Catalog(Lake.open(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for n in range(12):
    catalog.record_many(uses=[(sys.argv[2], Use(f"{n}-{k}", "stage", "created", 1.0)) for k in range(2)])
"""


def everything(lake: Lake) -> dict[str, list[str]]:
    with connect(lake) as views:
        rows = {view: views.sql(f"SELECT * FROM {view}").to_arrow_table().to_pylist() for view in VIEWS}
    return {view: sorted(map(repr, found)) for view, found in rows.items()}


def test_the_live_index_is_complete(lake: Lake, edited: dict[str, str]) -> None:
    assert not Catalog(lake).missing()
    assert query(lake, "SELECT count(*) AS n FROM artifacts").to_pylist() == [{"n": 12}]
    assert edited["run"]


@pytest.mark.usefixtures("edited")
def test_a_rebuilt_index_gives_the_same_results(lake: Lake) -> None:
    live = everything(lake)
    unmade = {"spectra", "generations", "text_scores", "drifts", "drift_points", "corpus"}
    assert all(live[view] for view in VIEWS if view not in unmade)
    shutil.rmtree(lake.files.path("catalog"))
    assert len(Catalog(lake).missing().artifacts) == 12
    assert everything(lake) == live, "a query adds missing rows"
    Catalog(lake).rebuild()
    assert not Catalog(lake).missing()
    assert everything(lake) == live
    Catalog(lake).rebuild()
    assert everything(lake) == live


def test_missing_rows_are_reported_and_added_to_queries(
    lake: Lake, edited: dict[str, str], table: Callable[..., pa.Table]
) -> None:
    ref = lake.write("spectrum", 1, {}, {"model": edited["model"]}, table("spectrum"))
    run = Runs(lake.files).start("late", {})
    missing = Catalog(lake).missing()
    assert (missing.artifacts, missing.runs) == ((ref.id,), (run.run_id,))
    assert query(lake, "SELECT DISTINCT artifact FROM spectra").to_pylist() == [{"artifact": ref.id}]
    assert query(lake, "SELECT status FROM runs WHERE name = 'late'").to_pylist() == [{"status": "running"}]
    Catalog(lake).record_artifact(lake.manifest(ref.id))
    Catalog(lake).record_run(run)
    assert not Catalog(lake).missing()
    Runs(lake.files).finish(run, "failed", message="why")
    assert Catalog(lake).missing().runs == (run.run_id,)
    assert query(lake, "SELECT status FROM runs WHERE name = 'late'").to_pylist() == [{"status": "failed"}]


def test_a_rebuild_keeps_the_uses_of_an_unfinished_run(lake: Lake, table: Callable[..., pa.Table]) -> None:
    run = Runs(lake.files).start("cut off", {})
    made = lake.write("model", 1, {}, {}, table("model"), created_by=run.run_id, seconds=2.0)
    catalog = Catalog(lake)
    catalog.record_many(uses=[(run.run_id, Use(made.id, "load model", "created", 2.0))])
    catalog.record_many(uses=[(run.run_id, Use("b" * 64, "documents", "reused"))])
    before = query(lake, "SELECT * FROM uses ORDER BY artifact").to_pylist()
    catalog.rebuild()
    assert query(lake, "SELECT * FROM uses ORDER BY artifact").to_pylist() == before
    shutil.rmtree(lake.files.path("catalog"))
    catalog.rebuild()
    (only,) = query(lake, "SELECT * FROM uses").to_pylist()
    assert (only["artifact"], only["how"], only["seconds"]) == (made.id, "created", 2.0)


def test_a_row_recorded_twice_is_returned_once(lake: Lake, edited: dict[str, str]) -> None:
    before = everything(lake)
    catalog = Catalog(lake)
    catalog.record_artifact(lake.manifest(edited["state1"]))
    catalog.record_many(uses=[(edited["run"], Use(edited["state1"], "state", "created"))])
    catalog.record_run(Runs(lake.files).get(edited["run"]))
    assert everything(lake) == before


def test_four_processes_append_at_once(lake: Lake, script: Callable[..., "Popen[str]"]) -> None:
    """They also race to create the table, which does not exist at the start."""
    processes = [script(WRITER, lake.uri, name) for name in "abcd"]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    assert [process.communicate("go\n")[1] for process in processes] == [""] * 4
    counted = query(lake, "SELECT run_id, count(*) AS n FROM uses GROUP BY ALL ORDER BY run_id").to_pylist()
    assert counted == [{"run_id": name, "n": 24} for name in "abcd"]


def test_merging_small_files_loses_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("editflow.storage.index.catalog._MERGE_EVERY", 10)
    catalog = Catalog(lake)
    for n in range(25):
        catalog.record_many(uses=[("run", Use(f"{n}", "stage", "created"))])
    assert len(catalog.files("uses")) < 10
    assert query(lake, "SELECT count(*) AS n FROM uses").to_pylist() == [{"n": 25}]


def test_an_unwritable_index_is_a_one_line_error(lake: Lake, edited: dict[str, Any]) -> None:
    index = Path(lake.files.path("catalog"))
    shutil.rmtree(index)
    index.write_text("not a folder")
    with pytest.raises(LakeNotWritable, match=r"cannot write [^\n]*catalog[^\n]*$"):
        Catalog(lake).record_artifact(lake.manifest(edited["model"]))


def lose_rows(table: Path) -> None:
    for path in table.glob("*.parquet"):
        path.unlink()


def spoil_rows(table: Path) -> None:
    for path in table.glob("*.parquet"):
        path.write_bytes(b"PAR1")


def spoil_log(table: Path) -> None:
    for path in (table / "_delta_log").glob("*.json"):
        path.write_text("{")


def lose_log_start(table: Path) -> None:
    (table / "_delta_log" / f"{0:020d}.json").unlink()


@pytest.mark.parametrize("damage", [lose_rows, spoil_rows, spoil_log, lose_log_start])
@pytest.mark.parametrize(
    "name", ["artifacts", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("uses", "runs"))]
)
def test_a_damaged_table_is_treated_as_missing(
    lake: Lake, edited: dict[str, str], name: str, damage: Callable[[Path], None]
) -> None:
    live, steps = everything(lake), lineage(lake, edited["state2"])
    damage(Path(lake.files.path(f"catalog/{name}")))
    assert everything(lake) == live
    assert lineage(lake, edited["state2"]) == steps
    Catalog(lake).rebuild()
    assert not Catalog(lake).missing()
    assert everything(lake) == live
    Catalog(lake).record_many(uses=[("later", Use(edited["model"], "load model", "reused"))])


def test_an_unreadable_run_has_status_damaged(lake: Lake, edited: dict[str, str]) -> None:
    run = Runs(lake.files).start("late", {})
    Path(lake.files.path(f"runs/{run.run_id}/started.json")).write_text("{")
    Catalog(lake).rebuild()
    statuses = {row["run_id"]: row["status"] for row in query(lake, "SELECT * FROM runs").to_pylist()}
    assert statuses == {edited["run"]: "completed", run.run_id: "damaged"}


def test_other_files_in_the_log_are_ignored(lake: Lake, edited: dict[str, str]) -> None:
    """An append after such a version would leave a gap, and the table would be unreadable."""
    catalog = Catalog(lake)
    before = len(catalog.files("artifacts"))
    for name in ("00000000000000000099.json.bak", "00000000000000000099.json.discarded-1"):
        lake.files.put(f"catalog/artifacts/_delta_log/{name}", b"{}")
    catalog.record_artifact(lake.manifest(edited["model"]))
    assert len(catalog.files("artifacts")) == before + 1
