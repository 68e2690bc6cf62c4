"""The settings of every stage of a run, built from its spec."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from editflow.editing.editors.method import ClosedForm
from editflow.flows.spec.run_spec import RunSpec
from editflow.tasks.stages.ability import AbilitySettings
from editflow.tasks.stages.documents import DocumentsSettings
from editflow.tasks.stages.drift import HiddenStatesSettings
from editflow.tasks.stages.edits import CHUNK, TargetValuesSettings
from editflow.tasks.stages.evaluation import EvaluationSettings
from editflow.tasks.stages.moments import SecondMomentSettings, TokensSettings
from editflow.tasks.stages.solver_inputs import WeightChangeSettings


def documents(spec: RunSpec, corpus: Mapping[str, str]) -> DocumentsSettings:
    """The sample of documents; `corpus` pins the source, see `describe_corpus`."""
    given = spec.corpus
    return DocumentsSettings(
        corpus, given.seed, given.documents, given.held_out_documents, given.min_characters, given.max_scanned_documents
    )


def held_out_tokens(spec: RunSpec) -> TokensSettings:
    """The tokens on which perplexity is measured."""
    return TokensSettings("heldout", 0, 1, spec.corpus.window, spec.corpus.held_out_tokens)


def moment_tokens(spec: RunSpec, partition: int) -> TokensSettings:
    """The tokens of one partition, counted from 0."""
    given = spec.corpus
    share = given.tokens * (partition + 1) // given.partitions - given.tokens * partition // given.partitions
    return TokensSettings("moments", partition, given.partitions, given.window, share)


def second_moment(spec: RunSpec, partition: int) -> SecondMomentSettings:
    """The moments of one partition, for all layers whose moments are computed."""
    given = spec.corpus
    return SecondMomentSettings(partition, given.partitions, tuple(spec.moment_layers), given.tokens_per_pass)


def target_values(spec: RunSpec, chunk: int) -> TargetValuesSettings:
    """The target values of one chunk of a batch, counted from 0."""
    return TargetValuesSettings(spec.target_values, spec.edit.z_layer, chunk, CHUNK)


def weight_change(spec: RunSpec, statistics: Collection[str]) -> WeightChangeSettings:
    """The change of a batch; `statistics` are the roles of the layer statistics.

    Layers are part of the recipe only if moments are of more layers than are edited, or if the method trains.
    """
    edit, layers = spec.edit, tuple(spec.edit.layers)
    if not isinstance(edit.chosen, ClosedForm):
        return WeightChangeSettings(edit.method, edit.options, layers)
    more = "second_moment" in statistics and spec.moment_layers != edit.layers
    kl_prompt = spec.target_values.kl_prompt
    return WeightChangeSettings(edit.method, edit.options, layers if more else None, edit.z_layer, kl_prompt)


def evaluation(spec: RunSpec, metrics: Sequence[str]) -> EvaluationSettings:
    """The metrics to measure on a state."""
    return EvaluationSettings(tuple(metrics), spec.evaluation.published)


def ability(spec: RunSpec) -> AbilitySettings:
    """How questions about general ability are asked."""
    return AbilitySettings.of(spec.ability.modes, spec.ability.tokens)


def hidden_states(spec: RunSpec) -> HiddenStatesSettings:
    """The hidden states that drift is measured on."""
    return HiddenStatesSettings(tuple(spec.edit.layers), spec.evaluation.drift, spec.requests.seed)
