"""The settings of every stage of a run, each built from the run's spec in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    """`corpus` pins the source, see `describe_corpus`."""
    given = spec.corpus
    return DocumentsSettings(
        corpus, given.seed, given.documents, given.held_out_documents, given.min_characters, given.max_scanned_documents
    )


def held_out_tokens(spec: RunSpec) -> TokensSettings:
    """The tokens on which perplexity is measured."""
    return TokensSettings("heldout", 0, 1, spec.corpus.window, spec.corpus.held_out_tokens)


def moment_tokens(spec: RunSpec, partition: int) -> TokensSettings:
    """One partition's share of the tokens, from 0."""
    given = spec.corpus
    share = given.tokens * (partition + 1) // given.partitions - given.tokens * partition // given.partitions
    return TokensSettings("moments", partition, given.partitions, given.window, share)


def second_moment(spec: RunSpec, partition: int) -> SecondMomentSettings:
    """One partition's moments of all layers that are gathered."""
    given = spec.corpus
    return SecondMomentSettings(partition, given.partitions, tuple(spec.moment_layers), given.tokens_per_pass)


def target_values(spec: RunSpec, chunk: int) -> TargetValuesSettings:
    """One chunk of a batch, from 0."""
    return TargetValuesSettings(spec.target_values, spec.edit.z_layer, chunk, CHUNK)


def weight_change(spec: RunSpec, needs: Mapping[str, object]) -> WeightChangeSettings:
    """`needs` are the layer statistics by role. Layers are named where moments are of more layers than are edited."""
    edit, layers = spec.edit, tuple(spec.edit.layers)
    if not isinstance(edit.chosen, ClosedForm):
        return WeightChangeSettings(edit.method, edit.options, layers)
    more = "second_moment" in needs and spec.moment_layers != edit.layers
    kl_prompt = spec.target_values.kl_prompt
    return WeightChangeSettings(edit.method, edit.options, layers if more else None, edit.z_layer, kl_prompt)


def evaluation(spec: RunSpec, metrics: Sequence[str]) -> EvaluationSettings:
    """The given metrics of a state."""
    return EvaluationSettings(tuple(metrics), spec.evaluation.published)


def ability(spec: RunSpec) -> AbilitySettings:
    """The questions about general ability of a state."""
    return AbilitySettings.of(spec.ability.modes, spec.ability.tokens)


def hidden_states(spec: RunSpec) -> HiddenStatesSettings:
    """Hidden states of a state, for drift."""
    return HiddenStatesSettings(tuple(spec.edit.layers), spec.evaluation.drift, spec.requests.seed)
