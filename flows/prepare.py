"""The flow that computes everything that does not depend on the facts, so that a later run only edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow

from editflow.flows.console.output import lake_folder, report_stage
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.pipeline.prerequisites import draw_contexts, layer_statistics, shared_inputs
from editflow.flows.pipeline.run_summary import RunSummary
from editflow.flows.pipeline.tracked_run import run_tracked, with_retry
from editflow.flows.spec.loading import load_shared_spec
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.spec_file import content_of
from editflow.storage.artifacts.store import Lake


def prepare_statistics(spec: RunSpec, pipe: Pipeline) -> RunSummary:
    """Compute documents, moments, null spaces and contexts of a spec; return the run's summary."""
    model, documents, _ = shared_inputs(spec, pipe)
    knowledge = layer_statistics(spec, pipe, documents, model)
    pipe.flush()
    return {"prepared": {"model": model, **knowledge, **draw_contexts(spec, pipe, model)}}


@flow(name="prepare", flow_run_name="{spec}", validate_parameters=False, on_running=[label_process])
def prepare(spec: str, settings: Sequence[str] = (), lake: str | None = None) -> dict[str, Any]:
    """Compute what a spec's runs share, without editing; return {"runs": records} as JSON, one for each seed.

    `settings` are `key.path=value` overrides; `lake` is EDITFLOW_LAKE or ./lake unless given.
    """
    place, work = Lake.open(lake_folder(lake)), with_retry(prepare_statistics)
    wanted = content_of(spec, settings, load_shared_spec)
    return {"runs": [asdict(run_tracked(one, place, str(Path(spec)), report_stage, work)) for one in wanted.each()]}
