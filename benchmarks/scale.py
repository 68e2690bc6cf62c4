"""`python -m benchmarks.scale FOLDER`: what questions and a write cost in a lake of the size of years.

Each is asked some times in a process of its own, in which all packages are loaded. The first answer is compared with
the limit, since later ones find its work done; the first of all is the cold start, which finds nothing but the lake.
Memory is the most that any of these processes held.
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
from benchmarks.synthetic import CHAIN, write
from editflow.flows.console.output import print_line, print_table
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.snapshot import FOLDER
from editflow.storage.queries.query import lineage, query
from editflow.storage.records.runs import Runs
from editflow.tasks.lineage.impact import dependants, source_of

app = App(help="Measure a lake of a million artifacts.")


@dataclass(frozen=True)
class Target:
    """What the questions are about: a state with a long history, and a document that all of it depends on."""

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
    """What is asked, in how many seconds at most, and how often: none but the first is cold."""

    ask: Callable[[Lake, Target], int]
    seconds: float
    often: bool = True


QUESTIONS: Mapping[str, Question] = {
    "cold start": Question(_cold, 5.0, often=False),
    "upstream of an artifact": Question(_upstream, 0.3),
    "impact of a document": Question(_impact, 1.0),
    "list of runs": Question(_runs, 0.3),
    "runs by SQL": Question(_runs_by_sql, 0.3),
    "one more artifact": Question(_write, 0.1),
    "upstream, now": Question(_upstream, 0.3),
}
"""In this order; the last one sees what was written meanwhile."""
MEMORY = 2 * 2**30
"""Bytes that none of the processes may exceed."""


@dataclass(frozen=True)
class Answer:
    """Seconds of wall clock and of CPU of each time, what came of it, and the bytes that the process held at most."""

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
    """Make the lake, if it is not there, and ask; exit code 1 when a limit is missed.

    Parameters
    ----------
    folder
        Where the lake is, or comes to be: two files and a folder for each of ten artifacts a run, some GB.
    runs
        Runs that made it.
    commits
        Artifacts, the newest, that came into the index in a commit of their own each.
    times
        How often each is asked.
    out
        Where the same is written as JSON.
    """
    if commits > 10 * runs:
        print_line(f"{commits} commits are asked for, {runs} runs make {10 * runs} artifacts: ask for fewer")
        sys.exit(2)
    check_out(out)
    took = _make(folder, runs, commits)
    target = _target(folder, runs)
    rows = []
    for name, question in QUESTIONS.items():
        print_line(f"  {name} …")
        rows.append(_row(name, question, answered(name, folder, target, times if question.often else 1)))
    print_table([_shown(row) for row in rows])
    if out is not None:
        size = {"runs": runs, "commits": commits, "made_in_seconds": took}
        write_out(out, size | {"rows": rows})
    sys.exit(any(row["missed"] for row in rows))


def answered(name: str, folder: Path, target: Target, times: int) -> Answer:
    """Ask in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_answer, name, folder, target, times).result()


def _answer(name: str, folder: Path, target: Target, times: int) -> Answer:
    import deltalake  # noqa: F401 - loaded before the clock starts, as all else is
    from pyarrow import parquet  # noqa: F401

    pa.Table.from_pylist([{"n": 1}])  # loads pandas, where there is one
    lake, wall, cpu, found = Lake.open(folder, create=False), list[float](), list[float](), 0
    for _ in range(times):
        began, worked = time.perf_counter(), time.process_time()
        found = QUESTIONS[name].ask(lake, target)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - worked)
    return Answer(wall, cpu, found, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _make(folder: Path, runs: int, commits: int) -> float | None:
    """The seconds that making the lake took; None where one is there."""
    if (folder / "artifacts").is_dir():
        return None
    print_line("  making the lake …")
    began = time.perf_counter()
    write(Lake.open(folder), runs, commits)
    return time.perf_counter() - began


def _target(folder: Path, runs: int) -> Target:
    newest = next(record for record in Runs(Lake.open(folder, create=False).files).newest() if record.state)
    return Target(str(newest.state), f"text 0 of {(runs - 1) // CHAIN * CHAIN}")


def _row(name: str, question: Question, answer: Answer) -> dict[str, Any]:
    missed = [what for what, over in {"time": answer.wall[0] > question.seconds, "memory": answer.peak > MEMORY}.items()
              if over]  # fmt: skip
    return {"question": name, "wanted": question.seconds, **asdict(answer), "missed": ", ".join(missed)}


def _shown(row: Mapping[str, Any]) -> dict[str, object]:
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
