"""The flow that edits a model: corpus → moments → null space → batch after batch → evaluation → summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from prefect import flow

from editing.editors.method import ClosedForm
from editing.errors import first_line
from editing.requests.record import EditRequest
from flows.measures import Measures, questions
from flows.output import lake_folder, print_line, report_stage
from flows.owners import claim
from flows.pipeline import Pipeline, Report
from flows.publish import publish
from flows.sections import RequestsSection
from flows.spec import RunSpec, load_spec
from storage.catalog import Catalog
from storage.errors import DamagedPayload, MissingPayload, RefConflict, StorageError
from storage.refs import Refs
from storage.runs import Outcome, RunRecord, Runs
from storage.store import Lake
from tasks.documents import describe_corpus, documents_stage
from tasks.edits import CHECKPOINT, CHUNK, CONTEXTS, KEYS, STATE, TARGET_VALUES, WEIGHT_CHANGE, chunk_count
from tasks.environment import environment
from tasks.models import check_layers, check_place, check_window
from tasks.moments import MERGE, NULL_SPACE, SECOND_MOMENT, SPECTRUM, TOKENS, warn_of_small_corpus
from tasks.requests import choose, load_requests, reordered, unprobed
from tasks.stage import recipe
from tasks.terminal import quoted


def use_threads(spec: RunSpec) -> None:
    """Let torch use as many threads as the spec asks for; the count can move the last bits."""
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)


def requested(wanted: RequestsSection) -> list[EditRequest]:
    """The facts that a run edits, in its order."""
    source = wanted.source
    found = load_requests(source, wanted.dataset, wanted.references)
    if wanted.skip:
        found = unprobed(found, wanted.skip, wanted.seed)
        source = f"{source} without what requests.skip leaves out"
    return reordered(choose(found, wanted.count, wanted.seed, source), wanted.order)


def edit(spec: RunSpec, pipe: Pipeline, facts: Sequence[EditRequest] | None = None) -> dict[str, Any]:
    """All stages of a run in order; returns its summary. Everything already in the lake is reused.

    Edits the facts given, or else those that the spec asks for.
    """
    chosen = requested(spec.requests) if facts is None else facts
    cases = questions(spec)
    model, documents, held_out = ground_of(spec, pipe)
    measures = Measures(spec, pipe, model, chosen, documents, held_out, cases)
    before = measures.everywhere(model, chosen, "before", "requests")
    knowledge = knowledge_of(spec, pipe, documents, model)
    contexts = contexts_of(spec, pipe, model)
    pipe.flush()
    state, batches = model, []
    size = spec.edit.batch_size
    for number, start in enumerate(range(0, len(chosen), size), 1):
        facts = chosen[start : start + size]
        # More prompts to evaluate a fact with are no reason to edit it anew.
        rewrites = measures.requests([f.rewrite for f in facts], f"rewrites {number}")
        state = batch_of(spec, pipe, state, rewrites, contexts, knowledge, len(facts), number)
        report = {"batch": number, "facts": len(facts), "edited": start + len(facts), "state": state}
        batches.append(report | measures.of_batch(state, facts, number))
        so_far = chosen[: start + len(facts)]
        if spec.evaluation.is_checkpoint(number) and len(so_far) < len(chosen):
            measures.everywhere(state, so_far, f"after batch {number}", f"requests so far {number}")
        pipe.flush()
    after = measures.everywhere(state, chosen, "after", "requests")
    pipe.flush()
    return {"facts": len(chosen), "state": state, "before": before, "after": after, "batches": batches}


def ground_of(spec: RunSpec, pipe: Pipeline) -> tuple[str, str, str]:
    """The pinned model, the sampled documents, and the tokens of those held out; faults are told before all work."""
    corpus = describe_corpus(spec.corpus.source)
    model = model_of(spec, pipe)
    check_model(spec, pipe.about(model))
    return model, *texts_of(spec, pipe, corpus, model)


def model_of(spec: RunSpec, pipe: Pipeline) -> str:
    """The artifact that pins the model."""
    return pipe.pin(spec.model)


def check_model(spec: RunSpec, about: Mapping[str, Any]) -> None:
    """Raise InvalidOption for layers or windows that a pinned model does not have."""
    check_layers(about, spec.edit.layers, spec.edit.z_layer)
    if isinstance(spec.edit.chosen, ClosedForm):
        check_place(about, spec.edit.layers, spec.edit.z_layer)
    check_layers(about, spec.gathered, spec.gathered[-1], "corpus.layers")
    check_window(about, spec.corpus.window)


def texts_of(spec: RunSpec, pipe: Pipeline, corpus: dict[str, str], model: str) -> tuple[str, str]:
    """The sampled documents, and the tokens of those held out."""
    documents = _documents(spec, pipe, corpus)
    return documents, _held_out(spec, pipe, documents, model)


def _documents(spec: RunSpec, pipe: Pipeline, corpus: dict[str, str]) -> str:
    wanted = spec.corpus
    sampling = {
        "corpus": corpus,
        "seed": wanted.seed,
        "documents": wanted.documents,
        "held_out_documents": wanted.held_out_documents,
        "min_characters": wanted.min_characters,
        "scan": wanted.scan,
    }
    return pipe.run(documents_stage(wanted.source), sampling, {})


def _held_out(spec: RunSpec, pipe: Pipeline, documents: str, model: str) -> str:
    cut = {
        "split": "heldout",
        "partition": 0,
        "partitions": 1,
        "window": spec.corpus.window,
        "tokens": spec.corpus.held_out_tokens,
    }
    tokens = pipe.run(TOKENS, cut, {"documents": documents, "model": model}, "tokens held out")
    pipe.read(warn_of_small_corpus, tokens, None)
    return tokens


def knowledge_of(spec: RunSpec, pipe: Pipeline, documents: str, model: str) -> dict[str, Any]:
    """What the method must know of each layer, as parents of a weight change by role; nothing else is made."""
    needs = spec.edit.chosen.needed(spec.edit.options)
    if not needs:
        return {}
    moment = second_moment(spec, pipe, documents, model)
    found: dict[str, Any] = {}
    if "null_space" in needs:
        found["null_space"] = [_null_space(spec, pipe, moment, layer) for layer in spec.edit.layers]
    if "second_moment" in needs:
        found["second_moment"] = moment
    return found


def second_moment(spec: RunSpec, pipe: Pipeline, documents: str, model: str) -> str:
    """Tokens and moments of each partition, merged."""
    corpus, partitions = spec.corpus, spec.corpus.partitions
    parts = []
    for n in range(partitions):
        share = corpus.tokens * (n + 1) // partitions - corpus.tokens * n // partitions
        place = {"partition": n, "partitions": partitions}
        cut = {"split": "moments", **place, "window": corpus.window, "tokens": share}
        tokens = pipe.run(TOKENS, cut, {"documents": documents, "model": model}, f"tokens {n + 1}")
        pipe.read(warn_of_small_corpus, tokens, None)
        one_pass = {**place, "layers": spec.gathered, "tokens_per_pass": corpus.tokens_per_pass}
        label = f"second moment {n + 1}"
        parts.append(pipe.run(SECOND_MOMENT, one_pass, {"tokens": tokens, "model": model}, label))
    merged = pipe.run(MERGE, {}, {"second_moment": parts}, "second moment")
    pipe.read(warn_of_small_corpus, merged, None)
    return merged


def spectrum_of(pipe: Pipeline, moment: str, layer: int) -> str:
    """The spectrum of a layer."""
    return pipe.run(SPECTRUM, {"layer": layer}, {"second_moment": moment}, f"spectrum of layer {layer}")


def _null_space(spec: RunSpec, pipe: Pipeline, moment: str, layer: int) -> str:
    """Spectrum and null space of a layer."""
    spectrum = spectrum_of(pipe, moment, layer)
    return pipe.run(NULL_SPACE, recipe(spec.null_space), {"spectrum": spectrum}, f"null space of layer {layer}")


def contexts_of(spec: RunSpec, pipe: Pipeline, model: str) -> dict[str, str]:
    """The contexts that a closed form asks facts in, as a parent by role; a method that trains has none."""
    if not isinstance(spec.edit.chosen, ClosedForm):
        return {}
    return {"contexts": pipe.run(CONTEXTS, recipe(spec.contexts), {"model": model})}


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


def repairing(work: Callable[[], dict[str, Any]], pipe: Pipeline) -> dict[str, Any]:
    """The work, and again from the top for every payload found missing or damaged."""
    tried: set[str] = set()
    while True:
        try:
            return work()
        except (MissingPayload, DamagedPayload) as error:
            if error.id in tried:
                raise
            tried.add(error.id)
            pipe.forget(error.id, error)


Work = Callable[[RunSpec, Pipeline], dict[str, Any]]


def mended(work: Work) -> Work:
    """The same work under `repairing`."""
    return lambda spec, pipe: repairing(lambda: work(spec, pipe), pipe)


def record_run(
    spec: RunSpec,
    lake: Lake,
    spec_path: str | None,
    report: Report,
    work: Work = repaired,
    kind: type[Pipeline] = Pipeline,
) -> RunRecord:
    """Run a spec and record how it ended, however it ends; the spec's name then stands for its final state.

    `work` does what the run is for and returns its summary; `kind` of pipeline runs its stages.
    """
    use_threads(spec)
    runs, catalog = Runs(lake.files), Catalog(lake)
    record = runs.start(spec.name, spec.model_dump(mode="json"), spec_path=spec_path, environment=environment())
    pipe = kind(lake, record, spec.model.device, report)
    outcome: Outcome = "failed"
    message, summary = "", dict[str, Any]()
    try:
        catalog.record_many(runs=[record, *_closed(runs)])
        summary = work(spec, pipe)
        outcome = "completed"
    except KeyboardInterrupt:
        outcome, message = "interrupted", "interrupted by the user"
        raise
    except Exception as error:
        message = str(error) or type(error).__name__
        raise
    finally:
        # Whatever ended the run is what the user must hear of, not that its end could not be written down as well.
        with suppress(StorageError) if outcome != "completed" else nullcontext():
            state, uses = summary.get("state"), list(pipe.uses.values())
            record = runs.finish(record, outcome, message=message, state=state, summary=summary, uses=uses)
            pipe.flush()
            catalog.record_run(record)
    if record.state is not None:
        _point(Refs(lake.files), spec.name, record.state)
    return record


def _closed(runs: Runs) -> list[RunRecord]:
    """Runs that were killed, now recorded as such; the user is told."""
    found = runs.close_dead()
    for dead in found:
        print_line(f"  [yellow]run {quoted(dead.run_id)} had died[/]: {quoted(dead.message)}")
    return found


def _point(refs: Refs, name: str, state: str | None) -> None:
    """Let the spec's name stand for the state that its latest run ended with."""
    while True:
        current = refs.get(name)
        if current is not None and current[0] == state:
            return
        try:
            refs.set(name, state, current[1] if current else 0)
        except RefConflict:
            continue
        return


@flow(name="edit-model", flow_run_name="{spec}", validate_parameters=False, on_running=[claim])
def edit_model(spec: str, settings: Sequence[str] = (), lake: str | None = None) -> dict[str, Any]:
    """Edit a model as the spec file says and return the run's record as JSON; {"runs": records} of several seeds.

    `settings` are `key.path=value` overrides; `lake` is EDITFLOW_LAKE or ./lake unless given.
    """
    path = Path(spec)
    place = Lake.open(lake_folder(lake))
    wanted = load_spec(path, settings)
    records = [_published(record_run(one, place, str(path), report_stage), place) for one in wanted.each()]
    return {"runs": records} if wanted.seeds else records[0]


def _published(record: RunRecord, place: Lake) -> dict[str, Any]:
    """The record as JSON, with the run's tables on its page in Prefect."""
    try:
        publish(place, record)
    except Exception as error:  # noqa: BLE001 - whatever fails here, the run is complete and its record is written
        print_line(f"[yellow]warning:[/] the run's page in Prefect has no tables: {quoted(first_line(error))}")
    return asdict(record)
