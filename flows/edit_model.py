"""The flow that edits a model: corpus → moments → null space → batch after batch → evaluation → summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow

from editflow.editing.editors.method import ClosedForm
from editflow.editing.requests.record import EditRequest
from editflow.flows.console.output import lake_folder, report_stage
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.orchestration.run_artifacts import publish
from editflow.flows.orchestration.run_page import Progress, on_page
from editflow.flows.pipeline import stage_settings
from editflow.flows.pipeline.facts import load_facts, split_batches
from editflow.flows.pipeline.measurements import Measures, questions
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.pipeline.prerequisites import draw_contexts, layer_statistics, shared_inputs
from editflow.flows.pipeline.run_summary import BatchSummary, RunSummary
from editflow.flows.pipeline.tracked_run import retry_on_damage, run_tracked
from editflow.flows.spec.loading import load_spec
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.spec_file import content_of
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord
from editflow.tasks.stages.edits import CHECKPOINT, KEYS, STATE, TARGET_VALUES, WEIGHT_CHANGE, chunk_count
from editflow.tasks.stages.settings import NoSettings
from editflow.tasks.stages.stage import Parents


def edit(spec: RunSpec, pipe: Pipeline, facts: Sequence[EditRequest] | None = None) -> RunSummary:
    """Run all stages in order and return the run's summary. Artifacts in the lake are reused.

    Edits the given facts, or else those that the spec selects.
    """
    planned = split_batches(load_facts(spec.requests) if facts is None else facts, spec.edit.batch_size, spec.requests)
    chosen = [fact for _, batch in planned for fact in batch]
    cases = questions(spec)
    model, documents, held_out = shared_inputs(spec, pipe)
    measures = Measures(spec, pipe, model, chosen, documents, held_out, cases)
    before = measures.measure_all(model, chosen, "before", "requests")
    knowledge = layer_statistics(spec, pipe, documents, model)
    contexts = draw_contexts(spec, pipe, model)
    pipe.flush()
    state, batches, so_far = model, list[BatchSummary](), list[EditRequest]()
    progress = Progress(spec.name, "facts")
    for number, batch in planned:
        # Without evaluation prompts: a change of those must not edit the fact again.
        rewrites = measures.requests([f.rewrite for f in batch], f"rewrites {number}")
        state = run_batch(spec, pipe, state, rewrites, contexts, knowledge, len(batch), number)
        so_far += batch
        done = BatchSummary(batch=number, facts=len(batch), edited=len(so_far), state=state)
        if spec.evaluation.after_batch:
            done["metrics"] = measures.of_batch(state, batch, number)
        batches.append(done)
        if spec.evaluation.is_checkpoint(number) and len(so_far) < len(chosen):
            measures.measure_all(state, so_far, f"after batch {number}", f"requests so far {number}")
        pipe.flush()
        progress.at(len(so_far), len(chosen))
    after = measures.measure_all(state, chosen, "after", "requests")
    pipe.flush()
    return {"facts": len(chosen), "state": state, "before": before, "after": after, "batches": batches}


def run_batch(
    spec: RunSpec,
    pipe: Pipeline,
    state: str,
    batch: str,
    contexts: Mapping[str, str],
    knowledge: Parents,
    facts: int,
    number: int,
) -> str:
    """Compute target values, the weight change, its keys and the new state. Training has no values and keys."""
    method = spec.edit.chosen
    parents = {"state": state, "requests": batch, **contexts}
    settings = stage_settings.weight_change(spec, knowledge)
    if isinstance(method, ClosedForm):
        sources = {**parents, "target_values": _values(spec, pipe, parents, facts, number), **knowledge}
        change = pipe.run(WEIGHT_CHANGE, settings, sources, f"weight change {number}")
        made = {"weight_change": change, "keys": pipe.run(KEYS, settings, sources, f"keys {number}")}
    else:
        change = pipe.run(WEIGHT_CHANGE, settings, parents, f"weight change {number}")
        made = {"weight_change": change}
    if number % spec.edit.checkpoint_every == 0:
        pipe.run(CHECKPOINT, NoSettings(), {"state": state, "weight_change": change}, f"checkpoint {number}")
    return pipe.run(STATE, NoSettings(), {"state": state, "requests": batch, **made}, f"state {number}")


def _values(spec: RunSpec, pipe: Pipeline, parents: Mapping[str, str], facts: int, number: int) -> list[str]:
    """Compute the target values of a batch in chunks."""
    chunks = chunk_count(facts)
    names = [f"target values {number}.{n + 1}" if chunks > 1 else f"target values {number}" for n in range(chunks)]
    return [
        pipe.run(TARGET_VALUES, stage_settings.target_values(spec, n), parents, name) for n, name in enumerate(names)
    ]


def edit_with_retry(spec: RunSpec, pipe: Pipeline, facts: Sequence[EditRequest] | None = None) -> RunSummary:
    """`edit`, repeated for each missing or damaged payload; the other artifacts are reused."""
    return retry_on_damage(lambda: edit(spec, pipe, facts), pipe)


@flow(name="edit-model", flow_run_name="{spec}", validate_parameters=False, on_running=[label_process])
def edit_model(spec: str, settings: Sequence[str] = (), lake: str | None = None) -> dict[str, Any]:
    """Edit a model according to a spec file; return the run's record as JSON, or {"runs": records} for several seeds.

    `settings` are `key.path=value` overrides; `lake` is EDITFLOW_LAKE or ./lake unless given.
    """
    path = str(Path(spec))
    place = Lake.open(lake_folder(lake))
    wanted = content_of(spec, settings, load_spec)
    records = [_published(run_tracked(one, place, path, report_stage, edit_with_retry), place) for one in wanted.each()]
    return {"runs": records} if wanted.seeds else records[0]


def _published(record: RunRecord, place: Lake) -> dict[str, Any]:
    """Write the run's tables to its page in Prefect; return the record as JSON."""
    on_page(lambda: publish(place, record), "the run's page in Prefect has no tables")
    return asdict(record)
