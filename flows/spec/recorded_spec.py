"""The spec of a recorded run, and the sources that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from editflow.flows.console.errors import UsageError
from editflow.flows.spec.loading import is_address
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.address import PREFIX, Address
from editflow.storage.records.renamed_keys import with_new_names
from editflow.storage.records.runs import RunRecord
from editflow.tasks.environment import threads_of
from editflow.tasks.sources.packaged_data import CORPUS

MODEL_SOURCE, CORPUS_SOURCE = "model.source", "corpus.source"


def repeatable(record: RunRecord) -> bool:
    """Whether the record alone suffices to repeat a run: it is completed, and its facts are in its spec."""
    edited = bool(record.summary.get("batches")) and "after" in record.summary
    return record.status == "completed" and edited and "queue" not in record.summary


def recorded_threads(record: RunRecord) -> object:
    """The recorded number of threads, which may be any value; None if none is recorded."""
    return record.environment.get("threads", record.spec.get("threads"))


def recorded_spec(record: RunRecord, threads: int | None = None) -> RunSpec:
    """The recorded spec of a run, with its recorded number of threads or the given one.

    A recorded number is limited to this machine's cores; see `threads_of`. Raises UsageError for a run that cannot be
    repeated.
    """
    if not repeatable(record):
        what = "took its requests from a queue" if "queue" in record.summary else f"is {record.status}"
        raise UsageError(
            f"run {record.run_id} {what} and cannot be repeated alone: choose a completed run of `editflow run` or "
            "`editflow compare`"
        )
    used = threads
    if used is None and (recorded := recorded_threads(record)) is not None:
        used = threads_of({"threads": recorded})
    try:
        return RunSpec.model_validate({**with_new_names(record.spec), **({"threads": used} if used else {})})
    except ValidationError as error:
        raise UsageError(
            f"run {record.run_id} was recorded by another version of EditFlow, whose settings this one does not know: "
            f"{error.errors()[0]['loc']}"
        ) from None


def input_sources(spec: RunSpec) -> dict[str, str]:
    """{key: source} of everything that a run reads from outside, except the model."""
    sources = {
        "requests.source": spec.requests.source,
        "requests.references": spec.requests.references,
        CORPUS_SOURCE: spec.corpus.source,
    }
    sources |= {f"ability.sets.{name}": source for name, source in spec.ability.sets.items()}
    return {key: source for key, source in sources.items() if source is not None}


def spec_with_local_inputs(record: RunRecord, threads: int | None = None) -> RunSpec:
    """`recorded_spec`, after a check that this folder has the files that it reads.

    Raises UsageError also for a file that is not here, or an address whose secrets are not recorded.
    """
    spec = recorded_spec(record, threads)
    sources = input_sources(spec)
    for key, source in {MODEL_SOURCE: spec.model.source, **sources}.items():
        if Address(source).is_redacted:
            raise UsageError(
                f"run {record.run_id} read {key} from {source}, and its secrets are not recorded: run its spec again "
                f"with --set {key}=ADDRESS, or write them as ${{{PREFIX}NAME}}, which can be repeated"
            )
    for key, source in sources.items():
        found = is_address(source) or source == CORPUS.name or source.startswith(("~", "/"))
        if not (found or Path(source).exists()):
            raise UsageError(
                f"run {record.run_id} read {key} from {source}, which is not in this folder: run the command in the "
                "folder where the run was made, or put the file here"
            )
    return spec


def replace_sources(spec: RunSpec, places: Mapping[str, str]) -> RunSpec:
    """The spec with other places for some of its sources, by their keys."""
    raw = spec.model_dump(mode="json")
    for key, place in places.items():
        set_key(raw, key, place)
    return RunSpec.model_validate(raw)


def set_key(raw: dict[str, Any], key: str, value: str) -> None:
    """Set a dotted key of a raw spec."""
    *sections, last = key.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
    raw[last] = value
