"""The flow that evaluates a release on all of its facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow

from editflow.flows.console.output import lake_folder, print_line, report_stage
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.orchestration.run_page import table
from editflow.flows.pipeline.measurements import Measures, questions
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.pipeline.prerequisites import shared_inputs
from editflow.flows.pipeline.run_summary import RunSummary
from editflow.flows.pipeline.summary_rows import before_after
from editflow.flows.pipeline.tracked_run import run_tracked, with_retry
from editflow.flows.spec.loading import load_queue_spec
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.spec_file import content_of
from editflow.storage.artifacts.store import Lake
from editflow.tasks.console.terminal import quoted
from editflow.tasks.releases.queue import Queue, active


def evaluate_release(spec: RunSpec, pipe: Pipeline) -> RunSummary:
    """Measure the base model and the release according to the spec; return the run's summary."""
    queue = Queue(pipe.lake.files, spec.requests.queue or "")
    current = queue.state()
    facts = [entry.request for entry in active(queue.entries(), current)]
    about = RunSummary(queue=queue.name, release=current.release, state=current.state, facts=len(facts))
    if current.state is None or not facts:
        print_line(f"  release {quoted(queue.name)} has no facts: there is nothing to evaluate")
        return about
    cases = questions(spec)
    model, documents, held_out = shared_inputs(spec, pipe)
    measures = Measures(spec, pipe, model, facts, documents, held_out, cases)
    before = measures.measure_all(model, facts, "before", "requests")
    after = measures.measure_all(current.state, facts, "after", "requests")
    pipe.flush()
    return {**about, "before": before, "after": after, "batches": []}


@flow(name="evaluate", flow_run_name="{spec}", validate_parameters=False, on_running=[label_process])
def evaluate(spec: str, settings: Sequence[str] = (), lake: str | None = None) -> dict[str, Any]:
    """Measure the release of a spec's queue on all of its facts; return the run's record as JSON.

    `settings` are `key.path=value` overrides; `lake` is EDITFLOW_LAKE or ./lake unless given.
    """
    place = Lake.open(lake_folder(lake))
    wanted = content_of(spec, settings, load_queue_spec)
    record = run_tracked(wanted, place, str(Path(spec)), report_stage, with_retry(evaluate_release))
    if "before" in record.summary:
        about = f"release {record.summary['queue']}: {record.summary['release']}, {record.summary['facts']} facts"
        table(before_after(record.summary), f"{record.name}-evaluation", f"{about}; `editflow show {record.run_id}`")
    return asdict(record)
