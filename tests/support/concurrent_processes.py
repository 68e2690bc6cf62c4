"""A process that uses a lake concurrently with others, as runs do: `concurrent_processes.py ROLE LAKE NAME SECONDS`.

    write      performs runs that create and reuse artifacts, end, and move a name
    query      checks that no artifact or run is incomplete
    collect    garbage-collects artifacts of older runs, without a minimum age

It prints one line of JSON at its end, or fails.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pyarrow as pa

from editflow.storage.artifacts.identity import recipe_id
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import UnknownArtifact
from editflow.storage.index import index_reader
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance import garbage_collection
from editflow.storage.maintenance.garbage_collection import census, remove
from editflow.storage.maintenance.orphans import find_orphans, remove_orphan
from editflow.storage.maintenance.retention_policy import RetentionRule
from editflow.storage.queries.query import lineage, query
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs, Use

KEPT_RUNS = 2
"""Newest runs of each name whose artifacts are kept."""
DANGLING = "SELECT child, parent FROM edges WHERE parent NOT IN (SELECT id FROM artifacts)"
LATEST = f"""
WITH newest AS (
    SELECT run_id FROM runs WHERE status = 'completed'
    QUALIFY row_number() OVER (PARTITION BY name ORDER BY started_at DESC, run_id DESC) <= {KEPT_RUNS}
)
SELECT u.run_id, u.artifact FROM uses u JOIN newest USING (run_id) WHERE u.artifact NOT IN (SELECT id FROM artifacts)
"""  # noqa: S608 - a constant
PAYLOADS = "SELECT count(*) AS n, sum(i) AS total FROM spectra"


def content(id_: str) -> pa.Table:
    """The content of a recipe, which depends only on its id."""
    draw = Random(id_)  # noqa: S311
    schema = kind("spectrum").schema
    rows = [{"layer": 0, "i": n, "eigenvalue": draw.random(), "scale": 1.0, "reduced": [1.0]} for n in range(3)]
    return pa.Table.from_pylist(rows, schema=schema)


def count_for(seconds: float) -> Iterator[int]:
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield number
        number += 1


def write(lake: Lake, name: str, seconds: float) -> dict[str, Any]:
    """Draw from few recipes, so that writers reuse each other's artifacts, including those being removed."""
    draw, created, reused = Random(name), 0, 0  # noqa: S311
    runs, catalog, refs = Runs(lake.files), Catalog(lake), Refs(lake.files)
    number = -1
    for number in count_for(seconds):
        record = runs.start(name, {"n": number})
        catalog.record_run(record)
        uses: list[Use] = []

        def stage(
            spec: dict[str, Any], parents: dict[str, Any], uses: list[Use] = uses, run: str = record.run_id
        ) -> str:
            id_ = recipe_id("spectrum", 1, spec, parents)
            if lake.find_and_touch(id_) is None:
                lake.write("spectrum", 1, spec, parents, content(id_), created_by=run, seconds=0.1)
                uses.append(Use(id_, str(spec), "created", 0.1))
            else:
                uses.append(Use(id_, str(spec), "reused"))
            for parent in parents.values():
                assert lake.read(parent).num_rows == 3
            assert lake.read(id_).equals(content(id_)), id_
            return id_

        base = stage({"ground": draw.randrange(3)}, {})
        state = stage({"state": 0}, {"ground": base})
        for batch in range(3):
            requests = stage({"requests": draw.randrange(12)}, {})
            state = stage({"batch": batch}, {"state": state, "requests": requests, "ground": base})
            catalog.record_many(
                artifacts=[lake.manifest(use.artifact) for use in uses if use.how == "created"],
                uses=[(record.run_id, use) for use in uses],
            )
        done = runs.finish(record, "completed", state=state, uses=uses)
        catalog.record_run(done)
        refs.append(name, state)
        for use in uses:
            assert lake.fault(use.artifact) is None, f"{use.artifact} of the latest run is damaged"
        created += sum(use.how == "created" for use in uses)
        reused += sum(use.how == "reused" for use in uses)
    return {"runs": number + 1, "created": created, "reused": reused}


def ask(lake: Lake, name: str, seconds: float) -> dict[str, Any]:
    """Artifacts are never incomplete; a run may be, once two later runs of its name have ended."""
    rounds, most, states, refs = 0, 0, 0, Refs(lake.files)
    large = index_reader.LARGE_INDEX_BYTES
    for number in count_for(seconds):
        index_reader.LARGE_INDEX_BYTES, index_reader.MIN_CHANGES = (
            (large, 50) if number % 3 == 0 else (-1, 5)
        )  # also as a large lake is read
        dangling = query(lake, DANGLING).to_pylist()
        assert dangling == [], [(row, [*map(lake.is_committed, row.values())]) for row in dangling]
        if lost := query(lake, LATEST).to_pylist():
            again = query(lake, LATEST).to_pylist()
            assert [row for row in lost if row in again] == []
        (row,) = query(lake, PAYLOADS).to_pylist()
        assert (row["total"] or 0) == row["n"], "0 + 1 + 2 of each artifact"
        for ref in refs.names():
            state, version = refs.get(ref) or (None, 0)
            if state and not has_all_ancestors(lake, state):
                assert refs.version(ref) > version, f"{ref} has an incomplete lineage"
            states += 1
        rounds, most = rounds + 1, max(most, row["n"] // 3)
    return {"rounds": rounds, "most artifacts": most, "states": states, "name": name}


def has_all_ancestors(lake: Lake, state: str) -> bool:
    """Whether every upstream artifact of a state exists."""
    try:
        return all(step.kind == "spectrum" for step in lineage(lake, state))
    except UnknownArtifact:
        return False


def collect(lake: Lake, name: str, seconds: float) -> dict[str, Any]:
    """Collect with a minimum age of 0 hours, so that only running runs protect artifacts."""
    garbage_collection.MARGIN = 0.05  # files and records use the same clock
    removed, orphans, passes = 0, 0, 0
    for _ in count_for(seconds):
        removed += len(remove(lake, census(lake, RetentionRule(runs=KEPT_RUNS), 0)))
        orphans += sum(remove_orphan(lake, piece, 1) for piece in list(find_orphans(lake, 1)))
        passes += 1
    return {"passes": passes, "removed": removed, "orphans": orphans, "name": name}


ROLES: dict[str, Callable[[Lake, str, float], dict[str, Any]]] = {"write": write, "query": ask, "collect": collect}


if __name__ == "__main__":
    role, place, name, seconds = sys.argv[1:]
    print(json.dumps(ROLES[role](Lake.open(place), name, float(seconds))))
