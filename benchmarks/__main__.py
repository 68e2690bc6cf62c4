"""`python -m benchmarks`: run both implementations of every stage alternately; print a table and write JSON."""

from __future__ import annotations

import json
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from benchmarks.stage import Disagreement, Measured
from benchmarks.stages import NAMES
from benchmarks.worker import Measurement, Worker, load_stage
from editflow.flows.console import output_files
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import print_line, print_table
from editflow.tasks.console.terminal import quoted

app = App(help="Compare the speed of every stage with that of the published procedure.")


@dataclass(frozen=True)
class Row:
    """The result of one stage. Times are per unit of work; times and ratio are medians over the rounds."""

    stage: str
    unit: str
    ours: float
    literal: float
    ratio: float
    lowest: float
    highest: float
    wanted: float
    ours_bytes: int
    literal_bytes: int
    ours_operations: float
    literal_operations: float
    peak_share: float
    agreement: str
    missed: str
    """The missed targets: "answers", "ratio" or a limit of the stage; empty if none."""


@app.default
def bench(
    *stages: str,
    quick: Annotated[bool, Parameter(negative=())] = False,
    threads: Annotated[int, Parameter(validator=Number(gte=1))] = 2,
    out: Path | None = None,
) -> None:
    """Run the stages (default: all) and print a table; exit code 1 if a target is missed.

    Parameters
    ----------
    stages
        Names of modules in benchmarks/stages.
    quick
        Use smaller sizes; takes about four minutes in total.
    threads
        Threads per implementation.
    out
        Also write the results to this file as JSON.
    """
    size = "quick" if quick else "full"
    known = [name for name in NAMES if size in load_stage(name).sizes]
    if unknown := [name for name in stages if name not in known]:
        print_line(f"no stage {', '.join(unknown)} of size {size}: choose from {', '.join(known)}")
        sys.exit(2)
    check_out(out)
    rows = []
    for name in stages or known:
        print_line(f"  {name} …")
        rows.append(measure(name, size, threads))
        if out is not None:  # after every stage, because the next one may take an hour
            write_out(out, {"rows": [asdict(row) for row in rows]})
    print_table([_table_row(row) for row in rows])
    sys.exit(any(row.missed for row in rows))


def measure(name: str, size: str, threads: int) -> Row:
    """Run both implementations of a stage alternately."""
    stage = load_stage(name)
    with Worker(name, "ours", size, threads) as ours, Worker(name, "literal", size, threads) as literal:
        if stage.double:  # these stages are short: do not time the first run, which fills caches
            ours.run()
        pairs = [(ours.run(), literal.run()) for _ in range(stage.rounds[size])]
        gemm_peak = max(ours.peak(stage.double) for _ in range(2))
        # Last, because counting allocates memory that would count as the stage's.
        counts = (ours.count(), literal.count()) if stage.counted else None
    ratios = [_per_unit(b) / _per_unit(a) for a, b in pairs]
    first, second = pairs[0]
    operations, literal_operations = counts or (first.answer.operations, second.answer.operations)
    seconds = statistics.median(a.seconds for a, _ in pairs)
    memory, literal_memory = max(a.peak_bytes for a, _ in pairs), max(b.peak_bytes for _, b in pairs)
    share = operations * first.answer.real / seconds / gemm_peak
    ratio = statistics.median(ratios)
    missed = [] if ratio >= stage.wanted[size] else ["ratio"]
    if size == "full":
        missed += stage.limits(Measured(first.answer, memory, literal_memory, share))
    try:
        agreement = stage.compare(first.answer, second.answer)
    except Disagreement as error:
        agreement = f"DIFFERENT: {error}"
        missed.append("answers")
    return Row(
        stage.title, stage.unit,
        statistics.median(_per_unit(a) for a, _ in pairs), statistics.median(_per_unit(b) for _, b in pairs),
        ratio, min(ratios), max(ratios), stage.wanted[size], memory, literal_memory,
        operations / first.answer.units, literal_operations / second.answer.units, share, agreement, ", ".join(missed),
    )  # fmt: skip


def _per_unit(reading: Measurement) -> float:
    return reading.seconds / reading.answer.units


def _table_row(row: Row) -> dict[str, object]:
    return {
        "stage": row.stage,
        "ours": f"{row.ours:.3g} s/{row.unit}",
        "literal": f"{row.literal:.3g} s/{row.unit}",
        "ratio": f"{row.ratio:.1f} ({row.lowest:.1f}–{row.highest:.1f})",
        "wanted": f"{row.wanted:g}",
        "missed": row.missed or "–",
        "MiB": f"{row.ours_bytes / 2**20:.0f} | {row.literal_bytes / 2**20:.0f}",
        "GFLOP": f"{row.ours_operations / 1e9:.3g} | {row.literal_operations / 1e9:.3g}"
        if row.ours_operations
        else "–",
        "of GEMM peak": f"{100 * row.peak_share:.0f} %" if row.ours_operations else "–",
        "answers": row.agreement,
    }


def check_out(out: Path | None) -> None:
    """Exit with one line and code 2 if results cannot be written, before anything is measured."""
    if out is not None:
        _exit_on_usage_error(lambda: output_files.check(out, "found.json", "results"))


def write_out(out: Path, found: Mapping[str, object]) -> None:
    """Write results as JSON, with the command, the time and the machine."""
    text = json.dumps({**_environment(), **found}, indent=1) + "\n"
    _exit_on_usage_error(lambda: output_files.write(out, text.encode(), "results"))


def _exit_on_usage_error(work: Callable[[], object]) -> None:
    try:
        work()
    except UsageError as error:
        print_line(quoted(error))
        sys.exit(2)


def _environment() -> dict[str, str]:
    return {
        "command": " ".join(sys.argv),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.processor() or platform.machine(),
        "system": platform.platform(),
        **{name: version(name) for name in ("torch", "transformers", "numpy", "scipy")},
    }


if __name__ == "__main__":
    app()
