"""The flows that repeat a past run in a fresh lake and compare the results."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import ValidationError

from editflow.editing.errors import EditingError
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import lake_folder, print_line, report_stage
from editflow.flows.edit_model import edit_with_retry
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.orchestration.run_page import table
from editflow.flows.pipeline.fresh_lake import fresh_lake
from editflow.flows.pipeline.index_updates import index_and_report
from editflow.flows.pipeline.tracked_run import run_tracked
from editflow.flows.spec.consent import recorded_downloads, report_threads, require_agreement
from editflow.flows.spec.loading import is_address
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.address import PREFIX, Address
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.renamed_keys import with_new_names
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.environment import environment, threads_of
from editflow.tasks.reproduction.reproduction import Repetition, archive, compared
from editflow.tasks.sources.packaged_data import CORPUS
from editflow.tasks.temporary_folders import temporary


class NotReproduced(Exception):
    """A run's repetition came out differently; the message says where and by how much."""


def repeatable(record: RunRecord) -> bool:
    """Whether a run can be repeated alone: completed, from a spec, with all of its facts in the spec."""
    edited = bool(record.summary.get("batches")) and "after" in record.summary
    return record.status == "completed" and edited and "queue" not in record.summary


def threads_had(record: RunRecord) -> object:
    """The recorded number of threads of a run, which may be any value; None if it is not recorded."""
    return record.environment.get("threads", record.spec.get("threads"))


def spec_of(record: RunRecord, threads: int | None = None) -> RunSpec:
    """The spec of a run as it was recorded, under the number of threads that it had. Raises UsageError.

    What is no number of threads that this machine has is brought within that; see `threads_of`.
    """
    if not repeatable(record):
        what = "took its requests from a queue" if "queue" in record.summary else f"is {record.status}"
        raise UsageError(
            f"run {record.run_id} {what} and cannot be repeated alone: choose a completed run of `editflow run` or "
            "`editflow compare`"
        )
    used = threads or (threads_of({"threads": had}) if (had := threads_had(record)) is not None else None)
    try:
        return RunSpec.model_validate({**with_new_names(record.spec), **({"threads": used} if used else {})})
    except ValidationError as error:
        raise UsageError(
            f"run {record.run_id} was recorded by another version of EditFlow, whose settings this one does not know: "
            f"{error.errors()[0]['loc']}"
        ) from None


def sources(spec: RunSpec) -> dict[str, str]:
    """{key: source} of everything but the model that a run reads from outside."""
    given = {"requests.source": spec.requests.source, "requests.references": spec.requests.references}
    given |= {"corpus.source": spec.corpus.source}
    given |= {f"ability.sets.{name}": source for name, source in spec.ability.sets.items()}
    return {key: source for key, source in given.items() if source is not None}


def spec_here(record: RunRecord, threads: int | None = None) -> RunSpec:
    """The same, for who reads the run's own files. Raises UsageError also where one was named from another folder."""
    spec = spec_of(record, threads)
    for key, source in {"model.source": spec.model.source, **sources(spec)}.items():
        if Address(source).is_lacking:
            raise UsageError(
                f"run {record.run_id} has read {key} from {source}, whose secret parts no record keeps: run its spec "
                f"again with --set {key}=ADDRESS, or write it with ${{{PREFIX}NAME}}, which can be repeated"
            )
        if key == "model.source":
            continue
        named = is_address(source) or source == CORPUS.name or source.startswith(("~", "/"))
        if not (named or Path(source).exists()):
            raise UsageError(
                f"run {record.run_id} has read {key} from {source}, which is not in this folder: "
                "say it in the folder where the run was made, or put the file here"
            )
    return spec


@flow(name="rerun", flow_run_name="{run}", validate_parameters=False, on_running=[label_process])
def rerun(
    run: str, lake: str | None = None, into: str | None = None, threads: int | None = None, download: bool = False
) -> Repetition:
    """Repeat a run by its id and compare; the outcome is kept in the run's lake.

    `into` is the fresh lake, a temporary one unless given; `threads` another number of threads than the run had;
    `download` that what the record names elsewhere may be fetched. What a repetition of the same run has left there
    goes on. Raises UsageError for a run that cannot be repeated, or for a lake that is not fresh.
    """
    place = Lake.open(lake_folder(lake), create=False)
    record = Runs(place.files).get(run)
    spec = spec_here(record, threads)
    require_agreement(recorded_downloads(spec, sources(spec)), download, packed=False)
    if threads is None:
        report_threads(threads_had(record), spec.threads)
    if into is not None:
        return _repeated(place, record, spec, Path(lake_folder(into, "into")))
    with temporary("rerun") as folder:
        return _repeated(place, record, spec, folder / "lake")


@flow(name="reproduce", flow_run_name="reproduce-{seed}", validate_parameters=False, on_running=[label_process])
def reproduce(lake: str | None = None, seed: str | None = None, download: bool = False) -> dict[str, Any] | None:
    """Repeat one of the lake's runs, another one each week; None where there is none to repeat.

    `seed` chooses the run, the week of the year unless given. Runs whose records name files of other machines are left
    out without `download`: a lake may come from anyone, and there is no user to ask. Raises NotReproduced,
    after the outcome is kept, where anything came out differently.
    """
    place = Lake.open(lake_folder(lake), create=False)
    known = [record for record in Runs(place.files).all() if repeatable(record)]
    if not known:
        print_line("no completed run to repeat")
        return None
    agreed = known if download else [record for record in known if not _asks(record)]
    if len(agreed) < len(known):
        print_line(f"left out: {len(known) - len(agreed)} of {len(known)} runs, which would download; see `download`")
    if not agreed:
        return None
    chosen = seed or datetime.now(UTC).strftime("%G-%V")
    record = min(agreed, key=lambda r: hashlib.sha256(f"{chosen}:{r.run_id}".encode()).digest())
    found = rerun(record.run_id, place.uri, download=download)
    if not found.same:
        raise NotReproduced(summary(found))
    return asdict(found)


def _asks(record: RunRecord) -> bool:
    """Whether repeating a run would download something; one that cannot be repeated says so when it is its turn."""
    try:
        spec = spec_of(record)
        return bool(recorded_downloads(spec, sources(spec)))
    except (UsageError, EditingError):
        return False


def summary(found: Repetition) -> str:
    """A line on how a repetition came out."""
    same = sum(row["same"] for row in found.rows)
    if found.same:
        return f"run {found.run}: all {same} artifacts came out the same, bit for bit"
    first = next(row for row in found.rows if not row["same"])
    apart = max((row["relative"] for row in found.rows if row["relative"] is not None), default=None)
    far = "" if apart is None else f", at most {apart:.2g} beside the largest number of a column"
    many = f"{same} of {len(found.rows)} artifacts came out the same"
    return f"run {found.run}: {many}; the first that did not is {first['stage']}{far}"


def _repeated(place: Lake, record: RunRecord, spec: RunSpec, folder: Path) -> Repetition:
    with fresh_lake(folder, record, spec) as fresh:
        again = run_tracked(spec, fresh, record.spec_path, report_stage, edit_with_retry)
        found = compared(place, record, fresh, again)
        keep(place, found, again.started_at)
    return found


def keep(lake: Lake, found: Repetition, at: str) -> None:
    """Keep a repetition in a lake, as one of a time, and show it on the run's page in Prefect."""
    index_and_report(lake)
    archive(lake, found, at, environment())
    table(found.rows, "reproduction", summary(found))
