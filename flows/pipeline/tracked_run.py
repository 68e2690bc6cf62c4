"""Run a spec under a record: threads, the outcome, and a retry when an artifact is damaged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress

import torch

from editflow.flows.console.signals import Stopped, received, sender
from editflow.flows.pipeline.index_updates import index_and_report
from editflow.flows.pipeline.pipeline import Pipeline, Report
from editflow.flows.pipeline.run_summary import RunSummary
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.address import redact_text
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DamagedPayload, MissingPayload, RefConflict, StorageError
from editflow.storage.index.catalog import Catalog
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Outcome, RunRecord, Runs
from editflow.tasks.environment import run_environment


def use_threads(spec: RunSpec) -> None:
    """Set the number of torch threads of the spec; another number can change the last bits."""
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)


def retry_on_damage(work: Callable[[], RunSummary], pipe: Pipeline) -> RunSummary:
    """Do the work, and start it again for each payload found missing or damaged, once per payload."""
    tried: set[str] = set()
    while True:
        try:
            return work()
        except (MissingPayload, DamagedPayload) as error:
            if error.id in tried:
                raise
            tried.add(error.id)
            pipe.discard(error.id, error)


Work = Callable[[RunSpec, Pipeline], RunSummary]


def with_retry(work: Work) -> Work:
    """The work wrapped in `retry_on_damage`."""
    return lambda spec, pipe: retry_on_damage(lambda: work(spec, pipe), pipe)


def run_tracked(
    spec: RunSpec,
    lake: Lake,
    spec_path: str | None,
    report: Report,
    work: Work,
    kind: type[Pipeline] = Pipeline,
) -> RunRecord:
    """Run a spec and record its outcome in every case; the spec's name then refers to the final state.

    `work` runs the stages and returns the summary; a pipeline of class `kind` executes them.
    """
    use_threads(spec)
    runs, catalog = Runs(lake.files), Catalog(lake)
    made_with = run_environment(spec.model.device)
    record = runs.start(spec.name, spec.model_dump(mode="json"), spec_path=spec_path, environment=made_with)
    pipe = kind(lake, record, spec.model.device, report)
    outcome: Outcome = "failed"
    message, summary = "", RunSummary()
    try:
        catalog.record_run(record)
        index_and_report(lake)
        summary = work(spec, pipe)
        outcome = "completed"
    except Exception as error:
        message = redact_text(str(error)) or type(error).__name__
        if signals := received():
            outcome, message = "interrupted", f"interrupted by {sender(Stopped(signals[0]))}"
        raise
    except BaseException as stop:  # Ctrl-C, a signal, or a worker that Prefect ends
        outcome, message = "interrupted", f"interrupted by {sender(stop)}"
        raise
    finally:
        # Report the cause of the failure, not that its record could not be written either.
        with suppress(StorageError) if outcome != "completed" else nullcontext():
            try:
                pipe.close()  # before the end of the run is recorded, which implies a complete index
            finally:
                state, uses = summary.get("state"), list(pipe.uses.values())
                record = runs.finish(record, outcome, message=message, state=state, summary=dict(summary), uses=uses)
            if outcome == "completed":
                catalog.record_run(record)
            else:  # a stage may have written artifacts that the run does not list
                index_and_report(lake)
    if record.state is not None:
        _set_ref(Refs(lake.files), spec.name, record.state)
    return record


def _set_ref(refs: Refs, name: str, state: str | None) -> None:
    """Point the spec's name at the final state of its latest run."""
    while True:
        current = refs.get(name)
        if current is not None and current[0] == state:
            return
        try:
            refs.set(name, state, current[1] if current else 0)
        except RefConflict:
            continue
        return
