"""`python -m benchmarks.scale FOLDER`: time and memory of queries and a write in a lake as large as after years of use.

Each question runs a few times in its own process, with all packages loaded. The first time is compared with the limit,
because later ones may use cached work. The first question is a cold start: no snapshot exists. Memory is the peak of
each process.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from cyclopts import App, Parameter
from cyclopts.validators import Number

from benchmarks.__main__ import check_out, write_out
from benchmarks.synthetic import RUNS_PER_PROJECT, write
from editflow.flows.console.output import print_line, print_table
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.snapshot import FOLDER
from editflow.storage.queries.query import lineage, query
from editflow.storage.records.runs import Runs
from editflow.tasks.lineage.impact import dependants, source_of

app = App(help="Measure queries in a lake of a million artifacts.")


@dataclass(frozen=True)
class Target:
    """The subjects of the questions: a state with a long history, and a document that all of it depends on."""

    state: str
    document: str


def _cold(lake: Lake, target: Target) -> int:
    shutil.rmtree(lake.files.path(FOLDER), ignore_errors=True)
    return len(lineage(lake, target.state))


def _upstream(lake: Lake, target: Target) -> int:
    return len(lineage(lake, target.state))


def _impact(lake: Lake, target: Target) -> int:
    return len(dependants(lake, source_of(lake, f"document:{target.document}")).impact.artifacts)


def _runs(lake: Lake, _: Target) -> int:
    return len(list(islice(Runs(lake.files).newest(), 100)))


def _runs_by_sql(lake: Lake, _: Target) -> int:
    sql = "SELECT run_id, name, status, started_at FROM runs ORDER BY started_at DESC LIMIT 100"
    return int(query(lake, sql).num_rows)


def _write(lake: Lake, target: Target) -> int:
    spec = {"label": uuid.uuid4().hex}
    content = [{"layer": 0, "i": 0, "eigenvalue": 1.0, "scale": 1.0, "reduced": [1.0]}]
    table = pa.Table.from_pylist(content, schema=kind("spectrum").schema)
    ref = lake.write("spectrum", 1, spec, {"state": target.state}, table)
    Catalog(lake).record_artifact(lake.manifest(ref.id))
    return 1


@dataclass(frozen=True)
class Question:
    """A function to time, its limit in seconds, and whether it is repeated (not a cold start)."""

    ask: Callable[[Lake, Target], int]
    seconds: float
    repeated: bool = True


QUESTIONS: Mapping[str, Question] = {
    "cold start": Question(_cold, 5.0, repeated=False),
    "upstream of an artifact": Question(_upstream, 0.3),
    "impact of a document": Question(_impact, 1.0),
    "list of runs": Question(_runs, 0.3),
    "runs by SQL": Question(_runs_by_sql, 0.3),
    "one more artifact": Question(_write, 0.1),
    "upstream, now": Question(_upstream, 0.3),
}
"""Asked in this order; the last one includes the artifacts written before it."""
MAX_BYTES = 2 * 2**30
"""Memory limit of each process."""


@dataclass(frozen=True)
class Timings:
    """Wall-clock and CPU seconds of each repetition, the number of results, and the process's peak memory in bytes."""

    wall: Sequence[float]
    cpu: Sequence[float]
    found: int
    peak: int


@app.default
def measure(
    folder: Path,
    *,
    runs: Annotated[int, Parameter(validator=Number(gte=1))] = 100_000,
    commits: Annotated[int, Parameter(validator=Number(gte=1))] = 10_000,
    times: Annotated[int, Parameter(validator=Number(gte=1))] = 5,
    out: Path | None = None,
) -> None:
    """Create the lake if it does not exist, and time all questions; exit code 1 if a limit is missed.

    Parameters
    ----------
    folder
        Folder of the lake: ten artifacts per run, with a folder and two files each; several GB.
    runs
        Number of runs in the lake.
    commits
        Number of newest artifacts that are indexed in a commit of their own.
    times
        Repetitions of each question.
    out
        Also write the results to this file as JSON.
    """
    if commits > 10 * runs:
        print_line(f"--commits {commits} is too large: {runs} runs make {10 * runs} artifacts")
        sys.exit(2)
    check_out(out)
    seconds = _create_lake(folder, runs, commits)
    target = _target(folder, runs)
    rows = []
    for name, question in QUESTIONS.items():
        print_line(f"  {name} …")
        rows.append(_row(name, question, ask_in_process(name, folder, target, times if question.repeated else 1)))
    print_table([_table_row(row) for row in rows])
    if out is not None:
        size = {"runs": runs, "commits": commits, "made_in_seconds": seconds}
        write_out(out, size | {"rows": rows})
    sys.exit(any(row["missed"] for row in rows))


def ask_in_process(name: str, folder: Path, target: Target, times: int) -> Timings:
    """Time a question in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_ask, name, folder, target, times).result()


def _ask(name: str, folder: Path, target: Target, times: int) -> Timings:
    import deltalake  # noqa: F401 - do not time imports
    from pyarrow import parquet  # noqa: F401

    pa.Table.from_pylist([{"n": 1}])  # imports pandas, if installed
    lake, wall, cpu, found = Lake.open(folder, create=False), list[float](), list[float](), 0
    for _ in range(times):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        found = QUESTIONS[name].ask(lake, target)
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
    return Timings(wall, cpu, found, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _create_lake(folder: Path, runs: int, commits: int) -> float | None:
    """Create the lake; returns the seconds that this took, None if it exists."""
    if (folder / "artifacts").is_dir():
        return None
    print_line("  creating the lake …")
    start = time.perf_counter()
    write(Lake.open(folder), runs, commits)
    return time.perf_counter() - start


def _target(folder: Path, runs: int) -> Target:
    newest = next(record for record in Runs(Lake.open(folder, create=False).files).newest() if record.state)
    return Target(str(newest.state), f"text 0 of {(runs - 1) // RUNS_PER_PROJECT * RUNS_PER_PROJECT}")


def _row(name: str, question: Question, timings: Timings) -> dict[str, Any]:
    limits = {"time": timings.wall[0] > question.seconds, "memory": timings.peak > MAX_BYTES}
    missed = ", ".join(name for name, is_missed in limits.items() if is_missed)
    return {"question": name, "wanted": question.seconds, **asdict(timings), "missed": missed}


def _table_row(row: Mapping[str, Any]) -> dict[str, object]:
    return {
        "question": row["question"],
        "found": row["found"],
        "wanted": f"{row['wanted']:g} s",
        "first": f"{row['wall'][0]:.3f} s",
        "CPU": f"{row['cpu'][0]:.3f} s",
        "median": f"{statistics.median(row['wall']):.3f} s",
        "median CPU": f"{statistics.median(row['cpu']):.3f} s",
        "peak": f"{row['peak'] / 2**20:.0f} MiB",
        "missed": row["missed"] or "–",
    }


if __name__ == "__main__":
    app()
