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
from editflow.flows.pipeline.measurements import Measures, questions
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.pipeline.prerequisites import contexts_of, ground_of, knowledge_of
from editflow.flows.pipeline.tracked_run import repairing, run_tracked
from editflow.flows.spec.loading import load_spec
from editflow.flows.spec.run_spec import RunSpec
from editflow.flows.spec.sections import RequestsSection
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord
from editflow.tasks.errors import BadRecord
from editflow.tasks.sources.edit_requests import choose, load_chosen, load_requests, reordered, unprobed
from editflow.tasks.stages.edits import CHECKPOINT, CHUNK, KEYS, STATE, TARGET_VALUES, WEIGHT_CHANGE, chunk_count
from editflow.tasks.stages.stage import recipe


def requested(wanted: RequestsSection) -> list[EditRequest]:
    """The facts that a run edits, in its order."""
    source: str = wanted.source
    if wanted.count is not None and not wanted.exclude_probes:
        chosen = load_chosen(source, wanted.dataset, wanted.references, wanted.count, wanted.seed)
        return reordered(chosen, wanted.order)
    found = load_requests(source, wanted.dataset, wanted.references)
    if wanted.exclude_probes:
        found = unprobed(found, wanted.exclude_probes, wanted.seed)
        source = f"{source} without what requests.exclude_probes leaves out"
    return reordered(choose(found, wanted.count, wanted.seed, source), wanted.order)


def batched(facts: Sequence[EditRequest], size: int, wanted: RequestsSection) -> list[tuple[int, list[EditRequest]]]:
    """(number from 1, facts) of every batch. Facts that are withdrawn leave gaps; a batch of nothing else is left out.

    Raises BadRecord for a withdrawn fact that is not there, and where none is left.
    """
    gone = set(wanted.withdrawn)
    if unknown := sorted(gone - {fact.request_id for fact in facts}):
        raise BadRecord(f"requests.withdrawn: {unknown[0]!r} is not among the {len(facts)} chosen facts; remove it")
    cuts = [facts[start : start + size] for start in range(0, len(facts), size)]
    left = [(number, [fact for fact in cut if fact.request_id not in gone]) for number, cut in enumerate(cuts, 1)]
    found = [(number, kept) for number, kept in left if kept]
    if not found:
        raise BadRecord(f"requests.withdrawn names all {len(facts)} chosen facts: nothing is left to edit")
    return found


def edit(spec: RunSpec, pipe: Pipeline, facts: Sequence[EditRequest] | None = None) -> dict[str, Any]:
    """All stages of a run in order; returns its summary. Everything already in the lake is reused.

    Edits the facts given, or else those that the spec asks for.
    """
    planned = batched(requested(spec.requests) if facts is None else facts, spec.edit.batch_size, spec.requests)
    chosen = [fact for _, batch in planned for fact in batch]
    cases = questions(spec)
    model, documents, held_out = ground_of(spec, pipe)
    measures = Measures(spec, pipe, model, chosen, documents, held_out, cases)
    before = measures.everywhere(model, chosen, "before", "requests")
    knowledge = knowledge_of(spec, pipe, documents, model)
    contexts = contexts_of(spec, pipe, model)
    pipe.flush()
    state, batches, so_far = model, [], list[EditRequest]()
    progress = Progress(spec.name, "facts")
    for number, batch in planned:
        # More prompts to evaluate a fact with are no reason to edit it again.
        rewrites = measures.requests([f.rewrite for f in batch], f"rewrites {number}")
        state = batch_of(spec, pipe, state, rewrites, contexts, knowledge, len(batch), number)
        so_far += batch
        report = {"batch": number, "facts": len(batch), "edited": len(so_far), "state": state}
        batches.append(report | measures.of_batch(state, batch, number))
        if spec.evaluation.is_checkpoint(number) and len(so_far) < len(chosen):
            measures.everywhere(state, so_far, f"after batch {number}", f"requests so far {number}")
        pipe.flush()
        progress.at(len(so_far), len(chosen))
    after = measures.everywhere(state, chosen, "after", "requests")
    pipe.flush()
    return {"facts": len(chosen), "state": state, "before": before, "after": after, "batches": batches}


def batch_of(
    spec: RunSpec,
    pipe: Pipeline,
    state: str,
    batch: str,
    contexts: Mapping[str, str],
    knowledge: Mapping[str, Any],
    facts: int,
    number: int,
) -> str:
    """Target values, then the change, its keys and the new state; a method that trains has neither values nor keys."""
    method = spec.edit.chosen
    parents = {"state": state, "requests": batch, **contexts}
    update: dict[str, Any] = {"method": method.name, **method.recipe(spec.edit.options)}
    if isinstance(method, ClosedForm):
        sources = {**parents, "target_values": _values(spec, pipe, parents, facts, number), **knowledge}
        update |= {"z_layer": spec.edit.z_layer, "kl_prompt": spec.target_values.kl_prompt}
        if "second_moment" in knowledge and spec.gathered != spec.edit.layers:
            update["layers"] = spec.edit.layers  # or all would be edited that there are moments of
        change = pipe.run(WEIGHT_CHANGE, update, sources, f"weight change {number}")
        made = {"weight_change": change, "keys": pipe.run(KEYS, update, sources, f"keys {number}")}
    else:
        change = pipe.run(WEIGHT_CHANGE, {**update, "layers": spec.edit.layers}, parents, f"weight change {number}")
        made = {"weight_change": change}
    if number % spec.edit.checkpoint_every == 0:
        pipe.run(CHECKPOINT, {}, {"state": state, "weight_change": change}, f"checkpoint {number}")
    return pipe.run(STATE, {}, {"state": state, "requests": batch, **made}, f"state {number}")


def _values(spec: RunSpec, pipe: Pipeline, parents: Mapping[str, str], facts: int, number: int) -> list[str]:
    """The target values of a batch, chunk by chunk."""
    cut = {"options": recipe(spec.target_values), "z_layer": spec.edit.z_layer, "chunk_size": CHUNK}
    chunks = chunk_count(facts)
    names = [f"target values {number}.{n + 1}" if chunks > 1 else f"target values {number}" for n in range(chunks)]
    return [pipe.run(TARGET_VALUES, {**cut, "chunk": n}, parents, name) for n, name in enumerate(names)]


def repaired(spec: RunSpec, pipe: Pipeline, facts: Sequence[EditRequest] | None = None) -> dict[str, Any]:
    """`edit`, and again from the top for every payload found missing or damaged: all else is reused then."""
    return repairing(lambda: edit(spec, pipe, facts), pipe)


@flow(name="edit-model", flow_run_name="{spec}", validate_parameters=False, on_running=[label_process])
def edit_model(spec: str, settings: Sequence[str] = (), lake: str | None = None) -> dict[str, Any]:
    """Edit a model as the spec file says and return the run's record as JSON; {"runs": records} of several seeds.

    `settings` are `key.path=value` overrides; `lake` is EDITFLOW_LAKE or ./lake unless given.
    """
    path = Path(spec)
    place = Lake.open(lake_folder(lake))
    wanted = load_spec(path, settings)
    records = [_published(run_tracked(one, place, str(path), report_stage, repaired), place) for one in wanted.each()]
    return {"runs": records} if wanted.seeds else records[0]


def _published(record: RunRecord, place: Lake) -> dict[str, Any]:
    """The record as JSON, with the run's tables on its page in Prefect."""
    on_page(lambda: publish(place, record), "the run's page in Prefect has no tables")
    return asdict(record)
