"""What all runs of a spec share before editing: the model, documents, moments, null spaces, contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editflow.editing.editors.method import ClosedForm
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.spec.run_spec import RunSpec
from editflow.tasks.models.model_identity import check_layers, check_place, check_window
from editflow.tasks.sources.corpus import describe_corpus
from editflow.tasks.stages.documents import documents_stage
from editflow.tasks.stages.edits import CONTEXTS
from editflow.tasks.stages.moments import (
    MERGE,
    NULL_SPACE,
    SECOND_MOMENT,
    SPECTRUM,
    TOKENS,
    check_share,
    check_tokens,
    gap_of,
    warn_of_small_corpus,
)
from editflow.tasks.stages.stage import recipe


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
    """Raise InvalidOption for what a pinned model lacks, layers or positions, and for what its width rules out."""
    check_layers(about, spec.edit.layers, spec.edit.z_layer)
    if isinstance(spec.edit.chosen, ClosedForm):
        check_place(about, spec.edit.layers, spec.edit.z_layer)
    check_layers(about, spec.gathered, spec.gathered[-1], "corpus.layers")
    check_window(about, spec.corpus.window)
    needs, width = spec.edit.chosen.needed(spec.edit.options), int(about["key_width"])
    if "null_space" in needs:
        check_share(spec.null_space, width)
    if "second_moment" in needs and spec.edit.options.ridge == 0:
        check_tokens(spec.corpus.tokens, width)


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
        "scan": wanted.max_scanned_documents,
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
    cut |= _gap(spec, pipe, documents, cut)
    tokens = pipe.run(TOKENS, cut, {"documents": documents, "model": model}, "tokens held out")
    pipe.read(warn_of_small_corpus, tokens, None)
    return tokens


def _gap(spec: RunSpec, pipe: Pipeline, documents: str, cut: Mapping[str, Any]) -> dict[str, Any]:
    """What withdrawn documents add to the recipe of their own partition's tokens; nothing to that of another."""
    names = spec.corpus.withdrawn
    # A plan has no documents before the first run.
    gap = gap_of(pipe.lake, documents, names, cut) if names and pipe.sound(documents) else []
    return {"withdrawn": gap} if gap else {}


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
        cut |= _gap(spec, pipe, documents, cut)
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
