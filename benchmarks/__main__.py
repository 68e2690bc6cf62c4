"""`python -m benchmarks`: every stage both ways, alternately, with a table and JSON at the end."""

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

from benchmarks.stage import Disagreement, Reached
from benchmarks.stages import NAMES
from benchmarks.worker import Reading, Worker, stage_named
from editflow.flows.console import output_files
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import print_line, print_table
from editflow.tasks.console.terminal import quoted

app = App(help="Measure the core against the published procedure.")


@dataclass(frozen=True)
class Row:
    """What is known of a stage when both sides have run; times are per unit of work, medians over the rounds."""

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
    """What falls short: the answers, the ratio or a limit of the stage; empty when nothing does."""


@app.default
def bench(
    *stages: str,
    quick: Annotated[bool, Parameter(negative=())] = False,
    threads: Annotated[int, Parameter(validator=Number(gte=1))] = 2,
    out: Path | None = None,
) -> None:
    """Run the stages (all of them by default) and print the table; exit code 1 when anything asked for is missed.

    Parameters
    ----------
    stages
        Files of benchmarks/stages.
    quick
        Smaller sizes, about four minutes in all.
    threads
        Threads of either side.
    out
        Where the same is written as JSON.
    """
    size = "quick" if quick else "full"
    known = [name for name in NAMES if size in stage_named(name).sizes]
    if unknown := [name for name in stages if name not in known]:
        print_line(f"no stage {', '.join(unknown)} of {size} size: choose from {', '.join(known)}")
        sys.exit(2)
    check_out(out)
    rows = []
    for name in stages or known:
        print_line(f"  {name} …")
        rows.append(measure(name, size, threads))
        if out is not None:  # after every stage: what comes next may take an hour
            write_out(out, {"rows": [asdict(row) for row in rows]})
    print_table([_shown(row) for row in rows])
    sys.exit(any(row.missed for row in rows))


def measure(name: str, size: str, threads: int) -> Row:
    """Both sides of a stage, one after the other, round by round."""
    stage = stage_named(name)
    with Worker(name, "ours", size, threads) as ours, Worker(name, "literal", size, threads) as literal:
        if stage.double:  # these are short, and the first run pays for pages and caches
            ours.run()
        pairs = [(ours.run(), literal.run()) for _ in range(stage.rounds[size])]
        peak = max(ours.peak(stage.double) for _ in range(2))
        # Last, since counting holds memory that would be taken for the work's.
        counts = (ours.count(), literal.count()) if stage.counted else None
    ratios = [_per_unit(b) / _per_unit(a) for a, b in pairs]
    first, second = pairs[0]
    done, done_literally = counts or (first.answer.operations, second.answer.operations)
    seconds = statistics.median(a.seconds for a, _ in pairs)
    held, held_literally = max(a.peak_bytes for a, _ in pairs), max(b.peak_bytes for _, b in pairs)
    share = done * first.answer.real / seconds / peak
    ratio = statistics.median(ratios)
    missed = [] if ratio >= stage.wanted[size] else ["ratio"]
    if size == "full":
        missed += stage.limits(Reached(first.answer, held, held_literally, share))
    try:
        agreement = stage.compare(first.answer, second.answer)
    except Disagreement as error:
        agreement = f"DIFFERENT: {error}"
        missed.append("answers")
    return Row(
        stage.title, stage.unit,
        statistics.median(_per_unit(a) for a, _ in pairs), statistics.median(_per_unit(b) for _, b in pairs),
        ratio, min(ratios), max(ratios), stage.wanted[size], held, held_literally,
        done / first.answer.units, done_literally / second.answer.units, share, agreement, ", ".join(missed),
    )  # fmt: skip


def _per_unit(reading: Reading) -> float:
    return reading.seconds / reading.answer.units


def _shown(row: Row) -> dict[str, object]:
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
    """End with one line and code 2 where no results can be written, rather than after the first stage."""
    if out is not None:
        _or_end(lambda: output_files.check(out, "found.json", "results"))


def write_out(out: Path, found: Mapping[str, object]) -> None:
    """Write results as JSON, with the command, the time and the machine."""
    text = json.dumps({**circumstances(), **found}, indent=1) + "\n"
    _or_end(lambda: output_files.write(out, text.encode(), "results"))


def _or_end(work: Callable[[], object]) -> None:
    try:
        work()
    except UsageError as error:
        print_line(quoted(error))
        sys.exit(2)


def circumstances() -> dict[str, str]:
    """The command, the time and the machine."""
    return {
        "command": " ".join(sys.argv),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.processor() or platform.machine(),
        "system": platform.platform(),
        **{name: version(name) for name in ("torch", "transformers", "numpy", "scipy")},
    }


if __name__ == "__main__":
    app()
