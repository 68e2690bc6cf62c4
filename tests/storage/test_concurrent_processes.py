"""Two processes write, a third queries, a fourth collects garbage: nothing is lost or incomplete.

`make crowd` runs them for five minutes and sometimes kills the fourth; EDITFLOW_CROWD_SECONDS sets another time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support import concurrent_processes

from editflow.storage.artifacts.identity import parent_pairs
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.audit import Audit
from editflow.storage.maintenance.index_audit import index_faults
from editflow.storage.maintenance.orphans import find_orphans, remove_orphan
from editflow.storage.queries.query import query
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).parents[2]


def start(lake: Lake, role: str, name: str, seconds: float) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(ROOT / "tests" / "support" / "concurrent_processes.py"),
        role,
        lake.uri,
        name,
        str(seconds),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def end(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    assert process.returncode == 0, err[-3000:]
    return dict(json.loads(out))


def crowded(lake: Lake, seconds: float, *, kills: bool) -> dict[str, Any]:
    """The report of each of the four processes."""
    roles = {"a": "write", "b": "write", "third": "query", "fourth": "collect"}
    processes = {name: start(lake, role, name, seconds) for name, role in roles.items()}
    draw, over, killed = Random(0), time.monotonic() + seconds - 10, 0  # noqa: S311 - draws of a test
    try:
        while kills and time.monotonic() < over:
            time.sleep(draw.uniform(2, 10))
            kill(processes["fourth"])
            processes["fourth"] = start(lake, "collect", "fourth", max(1.0, over + 10 - time.monotonic()))
            killed += 1
        return {name: end(process) for name, process in processes.items()} | {"kills": killed}
    finally:
        for process in processes.values():
            kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


def nothing_lost(lake: Lake) -> None:
    """Recent runs have all artifacts that they used, artifacts have all their parents, and the index agrees."""
    there = {made.id: made for made in lake.manifests()}
    runs = sorted(Runs(lake.files).all(), key=lambda run: (run.started_at, run.run_id), reverse=True)
    assert {run.status for run in runs} == {"completed"}
    for name in ("a", "b"):
        newest = [run for run in runs if run.name == name][: concurrent_processes.KEPT_RUNS]
        assert {use.artifact for run in newest for use in run.uses} <= there.keys()
        current = Refs(lake.files).get(name)
        assert current is not None
        assert current[0] == newest[0].state
    for made in there.values():
        assert {parent for _, parent in parent_pairs(made.parents)} <= there.keys()
        assert lake.fault(made.id) is None
        assert lake.read(made.id).equals(concurrent_processes.content(made.id))
    rows = query(lake, "SELECT id, digest FROM artifacts").to_pylist()
    assert {row["id"]: row["digest"] for row in rows} == {made.id: made.digest for made in there.values()}
    audit, none = Audit(lake), lambda _n: None
    faults = chain(
        audit.check_artifacts(lake.ids(), none), audit.check_runs(Runs(lake.files).ids(), none), audit.check_names()
    )
    assert list(chain(faults, index_faults(lake))) == []
    Catalog(lake).rebuild()
    assert sorted(map(repr, rows)) == sorted(map(repr, query(lake, "SELECT id, digest FROM artifacts").to_pylist()))


def test_four_processes_for_some_seconds(lake: Lake) -> None:
    reports = crowded(lake, 20, kills=False)
    assert all(reports[name]["runs"] for name in "ab")
    assert reports["third"]["rounds"]
    assert reports["fourth"]["passes"]
    nothing_lost(lake)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_four_processes_for_five_minutes(lake: Lake) -> None:
    reports = crowded(lake, float(os.environ.get("EDITFLOW_CROWD_SECONDS", "300")), kills=True)
    print(f"\n{json.dumps(reports)}")
    assert reports["fourth"]["removed"]
    for piece in list(find_orphans(lake, 0)):
        assert remove_orphan(lake, piece, 0)
    nothing_lost(lake)
