"""Processes that use one lake at once, as runs do: `concurrent_processes.py ROLE LAKE NAME SECONDS`.

    write      runs one after the other: some artifacts met, some made, an end, a name that moves
    query      asks whether anything is half there
    collect    removes what only older runs needed, at once

Each prints one line of JSON at its end, or fails.
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
from editflow.storage.maintenance.retention_policy import Rule
from editflow.storage.queries.query import lineage, query
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs, Use

KEPT = 2
"""Runs of each name."""
DANGLING = "SELECT child, parent FROM edges WHERE parent NOT IN (SELECT id FROM artifacts)"
LATEST = f"""
WITH newest AS (
    SELECT run_id FROM runs WHERE status = 'completed'
    QUALIFY row_number() OVER (PARTITION BY name ORDER BY started_at DESC, run_id DESC) <= {KEPT}
)
SELECT u.run_id, u.artifact FROM uses u JOIN newest USING (run_id) WHERE u.artifact NOT IN (SELECT id FROM artifacts)
"""  # noqa: S608 - a number of our own
PAYLOADS = "SELECT count(*) AS n, sum(i) AS total FROM spectra"


def content(id_: str) -> pa.Table:
    """The one content of a recipe."""
    draw = Random(id_)  # noqa: S311
    schema = kind("spectrum").schema
    rows = [{"layer": 0, "i": n, "eigenvalue": draw.random(), "scale": 1.0, "reduced": [1.0]} for n in range(3)]
    return pa.Table.from_pylist(rows, schema=schema)


def until(seconds: float) -> Iterator[int]:
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield number
        number += 1


def write(lake: Lake, name: str, seconds: float) -> dict[str, Any]:
    """Recipes are drawn from few, so the writers meet each other's works, and those that are being removed."""
    draw, made, met = Random(name), 0, 0  # noqa: S311
    runs, catalog, refs = Runs(lake.files), Catalog(lake), Refs(lake.files)
    number = -1
    for number in until(seconds):
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

        ground = stage({"ground": draw.randrange(3)}, {})
        state = stage({"state": 0}, {"ground": ground})
        for batch in range(3):
            requests = stage({"requests": draw.randrange(12)}, {})
            state = stage({"batch": batch}, {"state": state, "requests": requests, "ground": ground})
            catalog.record_many(
                artifacts=[lake.manifest(use.artifact) for use in uses if use.how == "created"],
                uses=[(record.run_id, use) for use in uses],
            )
        done = runs.finish(record, "completed", state=state, uses=uses)
        catalog.record_run(done)
        refs.append(name, state)
        for use in uses:
            assert lake.fault(use.artifact) is None, f"{use.artifact} of the newest run"
        made += sum(use.how == "created" for use in uses)
        met += sum(use.how == "reused" for use in uses)
    return {"runs": number + 1, "made": made, "met": met}


def ask(lake: Lake, name: str, seconds: float) -> dict[str, Any]:
    """What is told of a run may be half gone when two others have ended since; what is told of an artifact never is."""
    asked, most, states, refs = 0, 0, 0, Refs(lake.files)
    large = index_reader.LARGE_INDEX_BYTES
    for number in until(seconds):
        index_reader.LARGE_INDEX_BYTES, index_reader.MIN_CHANGES = (
            (large, 50) if number % 3 == 0 else (-1, 5)
        )  # also as a large lake is read
        half = query(lake, DANGLING).to_pylist()
        assert half == [], [(row, [*map(lake.is_committed, row.values())]) for row in half]
        if lost := query(lake, LATEST).to_pylist():
            again = query(lake, LATEST).to_pylist()
            assert [row for row in lost if row in again] == []
        (row,) = query(lake, PAYLOADS).to_pylist()
        assert (row["total"] or 0) == row["n"], "0 + 1 + 2 of each artifact"
        for ref in refs.names():
            state, version = refs.get(ref) or (None, 0)
            if state and not whole(lake, state):
                assert refs.version(ref) > version, f"a hole behind {ref}"
            states += 1
        asked, most = asked + 1, max(most, row["n"] // 3)
    return {"asked": asked, "most artifacts": most, "states": states, "name": name}


def whole(lake: Lake, state: str) -> bool:
    """Whether a state has all that is behind it."""
    try:
        return all(step.kind == "spectrum" for step in lineage(lake, state))
    except UnknownArtifact:
        return False


def collect(lake: Lake, name: str, seconds: float) -> dict[str, Any]:
    """Hours count for nothing here: runs that go on are all that protects."""
    garbage_collection.MARGIN = 0.05  # the clocks of files and records are one machine's
    removed, swept, passes = 0, 0, 0
    for _ in until(seconds):
        removed += len(remove(lake, census(lake, Rule(runs=KEPT), 0)))
        swept += sum(remove_orphan(lake, piece, 1) for piece in list(find_orphans(lake, 1)))
        passes += 1
    return {"passes": passes, "removed": removed, "swept": swept, "name": name}


ROLES: dict[str, Callable[[Lake, str, float], dict[str, Any]]] = {"write": write, "query": ask, "collect": collect}


if __name__ == "__main__":
    role, place, name, seconds = sys.argv[1:]
    print(json.dumps(ROLES[role](Lake.open(place), name, float(seconds))))
