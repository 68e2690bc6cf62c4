"""The inputs that all runs of a spec share: the model, documents, moments, null spaces and contexts."""

from __future__ import annotations

from dataclasses import replace

from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.options import ClosedFormOptions
from editflow.flows.pipeline import stage_settings
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.spec.run_spec import RunSpec
from editflow.tasks.models.model_description import ModelDescription
from editflow.tasks.sources.corpus import describe_corpus
from editflow.tasks.stages.documents import documents_stage
from editflow.tasks.stages.edits import CONTEXTS
from editflow.tasks.stages.moments import (
    MERGE,
    NULL_SPACE,
    SECOND_MOMENT,
    SPECTRUM,
    TOKENS,
    SpectrumSettings,
    TokensSettings,
    check_share,
    check_tokens,
    warn_of_small_corpus,
    withdrawn_in,
)
from editflow.tasks.stages.settings import NoSettings


def shared_inputs(spec: RunSpec, pipe: Pipeline) -> tuple[str, str, str]:
    """The pinned model, the sampled documents, and the held-out tokens. Raises errors before any work."""
    corpus = describe_corpus(spec.corpus.source)
    model = pin_model(spec, pipe)
    check_model(spec, pipe.about(model))
    return model, *sample_corpus(spec, pipe, corpus, model)


def pin_model(spec: RunSpec, pipe: Pipeline) -> str:
    """The id of the artifact that pins the model."""
    return pipe.pin(spec.model)


def check_model(spec: RunSpec, model: ModelDescription) -> None:
    """Raise InvalidOption for layers, window lengths or options that a pinned model does not allow."""
    model.check_layers(spec.edit.layers, spec.edit.z_layer)
    if isinstance(spec.edit.chosen, ClosedForm):
        model.check_target(spec.edit.layers, spec.edit.z_layer)
    model.check_layers(spec.moment_layers, spec.moment_layers[-1], "corpus.layers")
    model.check_window(spec.corpus.window)
    options = spec.edit.options
    needs, width = spec.edit.chosen.required_statistics(options), model.key_width
    if "null_space" in needs:
        check_share(spec.null_space, width)
    if "second_moment" in needs and isinstance(options, ClosedFormOptions) and options.ridge == 0:
        check_tokens(spec.corpus.tokens, width)


def sample_corpus(spec: RunSpec, pipe: Pipeline, corpus: dict[str, str], model: str) -> tuple[str, str]:
    """The sampled documents, and the held-out tokens."""
    documents = _documents(spec, pipe, corpus)
    return documents, _held_out(spec, pipe, documents, model)


def _documents(spec: RunSpec, pipe: Pipeline, corpus: dict[str, str]) -> str:
    return pipe.run(documents_stage(spec.corpus.source), stage_settings.documents(spec, corpus), {})


def _held_out(spec: RunSpec, pipe: Pipeline, documents: str, model: str) -> str:
    return _tokens(spec, pipe, stage_settings.held_out_tokens(spec), documents, model, "tokens held out")


def _tokens(spec: RunSpec, pipe: Pipeline, settings: TokensSettings, documents: str, model: str, label: str) -> str:
    """The tokens of a partition. Withdrawn documents only change the recipe of their own partition."""
    names = spec.corpus.withdrawn
    if names and pipe.find_valid(documents):  # a dry run has no documents before the first run
        settings = replace(settings, withdrawn=tuple(withdrawn_in(pipe.lake, documents, names, settings)))
    tokens = pipe.run(TOKENS, settings, {"documents": documents, "model": model}, label)
    pipe.read(warn_of_small_corpus, tokens, None)
    return tokens


def layer_statistics(spec: RunSpec, pipe: Pipeline, documents: str, model: str) -> dict[str, str | list[str]]:
    """The layer statistics that the method needs, as parents of a weight change by role; no others are computed."""
    needs = spec.edit.chosen.required_statistics(spec.edit.options)
    if not needs:
        return {}
    moment = merged_second_moment(spec, pipe, documents, model)
    found: dict[str, str | list[str]] = {}
    if "null_space" in needs:
        found["null_space"] = [_null_space(spec, pipe, moment, layer) for layer in spec.edit.layers]
    if "second_moment" in needs:
        found["second_moment"] = moment
    return found


def merged_second_moment(spec: RunSpec, pipe: Pipeline, documents: str, model: str) -> str:
    """The second moment over all partitions, from the tokens of each."""
    parts = []
    for n in range(spec.corpus.partitions):
        settings = stage_settings.moment_tokens(spec, n)
        tokens = _tokens(spec, pipe, settings, documents, model, f"tokens {n + 1}")
        parents = {"tokens": tokens, "model": model}
        parts.append(pipe.run(SECOND_MOMENT, stage_settings.second_moment(spec, n), parents, f"second moment {n + 1}"))
    merged = pipe.run(MERGE, NoSettings(), {"second_moment": parts}, "second moment")
    pipe.read(warn_of_small_corpus, merged, None)
    return merged


def layer_spectrum(pipe: Pipeline, moment: str, layer: int) -> str:
    """The spectrum of a layer."""
    return pipe.run(SPECTRUM, SpectrumSettings(layer), {"second_moment": moment}, f"spectrum of layer {layer}")


def _null_space(spec: RunSpec, pipe: Pipeline, moment: str, layer: int) -> str:
    """The null space of a layer, from its spectrum."""
    spectrum = layer_spectrum(pipe, moment, layer)
    return pipe.run(NULL_SPACE, spec.null_space, {"spectrum": spectrum}, f"null space of layer {layer}")


def draw_contexts(spec: RunSpec, pipe: Pipeline, model: str) -> dict[str, str]:
    """The contexts before the prompts of a closed form, as a parent by role; a training method has none."""
    if not isinstance(spec.edit.chosen, ClosedForm):
        return {}
    return {"contexts": pipe.run(CONTEXTS, spec.contexts, {"model": model})}
