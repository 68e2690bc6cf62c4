"""The flows that repeat a recorded run, from its lake or from a bundle, and compare the results."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow

from editflow.editing.errors import EditingError
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import lake_folder, print_line, report_stage
from editflow.flows.edit_model import edit_with_retry
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.orchestration.run_page import table
from editflow.flows.pipeline.fresh_lake import fresh_lake
from editflow.flows.pipeline.index_updates import index_and_report
from editflow.flows.pipeline.tracked_run import run_tracked
from editflow.flows.reproduction.recorded_runs import BundledRun, LakeRun, RerunOptions, check_repetition
from editflow.flows.spec.consent import recorded_downloads
from editflow.flows.spec.recorded_spec import input_sources, recorded_spec, repeatable
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.reproduction.reproduction import Repetition, archive, compare_runs
from editflow.tasks.reproduction.run_bundle import read_bundle
from editflow.tasks.temporary_folders import temporary_folder


class NotReproduced(Exception):
    """A repeated run gave different results; the message names the first different stage and the distance."""


@flow(name="rerun", flow_run_name="{run}", validate_parameters=False, on_running=[label_process])
def rerun(
    run: str, lake: str | None = None, into: str | None = None, threads: int | None = None, download: bool = False
) -> Repetition:
    """Repeat a run of a lake and compare; the outcome is stored in that lake.

    `into` is the fresh lake (default: a temporary one); an interrupted repetition in it is resumed. `threads` defaults
    to the recorded number. `download` allows downloads. Raises UsageError for a run that cannot be repeated, or a lake
    that is not fresh.
    """
    place = Lake.open(lake_folder(lake), create=False)
    options = RerunOptions(threads=threads, download=download)
    return _repeat(LakeRun(place, Runs(place.files).get(run)), into, options)


@flow(name="rerun-packed", flow_run_name="{file}", validate_parameters=False, on_running=[label_process])
def rerun_bundle(
    file: str,
    into: str | None = None,
    threads: int | None = None,
    model: str | None = None,
    corpus: str | None = None,
    download: bool = False,
) -> Repetition:
    """Repeat a run of a bundle file and compare; the outcome is stored in the fresh lake.

    As `rerun`; `model` and `corpus` replace the recorded places. Raises BadBundle, and UsageError also for a different
    model or corpus.
    """
    return _repeat(BundledRun(read_bundle(Path(file))), into, RerunOptions(threads, model, corpus, download))


def _repeat(source: LakeRun | BundledRun, into: str | None, options: RerunOptions) -> Repetition:
    check_repetition(source, options)
    if into is not None:
        return _repeat_in(Path(lake_folder(into, "into")), source, options)
    with temporary_folder("rerun") as folder:
        return _repeat_in(folder / "lake", source, options)


def _repeat_in(folder: Path, source: LakeRun | BundledRun, options: RerunOptions) -> Repetition:
    with fresh_lake(folder, source.record, recorded_spec(source.record, options.threads)) as fresh:
        spec = source.spec(folder / "inputs", fresh, options)
        lake, spec_path = (source.artifacts, source.record.spec_path) if isinstance(source, LakeRun) else (fresh, None)
        again = run_tracked(spec, fresh, spec_path, report_stage, edit_with_retry)
        found = compare_runs(source.artifacts, source.record, fresh, again)
        index_and_report(lake)
        archive(lake, found, again.started_at)
        table(found.rows, "reproduction", summary(found))
    return found


@flow(name="reproduce", flow_run_name="reproduce-{seed}", validate_parameters=False, on_running=[label_process])
def reproduce(lake: str | None = None, seed: str | None = None, download: bool = False) -> dict[str, Any] | None:
    """Repeat one of the lake's runs, a different one each week; None if no run can be repeated.

    `seed` chooses the run (default: year and week). A lake may come from anyone, and a schedule has no user to ask, so
    runs that need downloads are skipped without `download`. Raises NotReproduced, after the outcome is stored, if any
    result differs.
    """
    place = Lake.open(lake_folder(lake), create=False)
    candidates = [record for record in Runs(place.files).all() if repeatable(record)]
    if not candidates:
        print_line("no completed run to repeat")
        return None
    allowed = candidates if download else [record for record in candidates if not _needs_download(record)]
    if skipped := len(candidates) - len(allowed):
        print_line(f"skipped {skipped} of {len(candidates)} runs that need downloads; allow them with `download`")
    if not allowed:
        return None
    chosen = seed or datetime.now(UTC).strftime("%G-%V")
    record = min(allowed, key=lambda r: hashlib.sha256(f"{chosen}:{r.run_id}".encode()).digest())
    found = rerun(record.run_id, place.uri, download=download)
    if not found.same:
        raise NotReproduced(summary(found))
    return asdict(found)


def _needs_download(record: RunRecord) -> bool:
    """Whether repeating a run downloads something; False for an invalid record, which fails when it is repeated."""
    try:
        spec = recorded_spec(record)
        return bool(recorded_downloads(spec, input_sources(spec)))
    except (UsageError, EditingError):
        return False


def summary(found: Repetition) -> str:
    """The outcome of a repetition in one line."""
    same = sum(row["same"] for row in found.rows)
    if found.same:
        return f"run {found.run}: all {same} artifacts are identical, bit for bit"
    first = next(row for row in found.rows if not row["same"])
    largest = max((row["relative"] for row in found.rows if row["relative"] is not None), default=None)
    distance = "" if largest is None else f"; the largest difference is {largest:.2g} of its column's largest number"
    count = f"{same} of {len(found.rows)} artifacts are identical"
    return f"run {found.run}: {count}; the first that differs is {first['stage']}{distance}"
