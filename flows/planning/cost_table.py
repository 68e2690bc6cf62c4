"""The cost of each stage, estimated from shapes: rows and bytes of its artifact, operations, and memory besides the
model. COSTS at the end is the table; omissions are noted at each estimate.

Notation: d = d_in, h = d_out = width of the residual stream, n = facts, T = tokens. A pass of T tokens through weights
of N parameters is 2·N·T operations, and the backward pass costs the same, since only δ has a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.methods import method
from editflow.editing.editors.options import ContextOptions
from editflow.editing.linalg.threshold import Threshold
from editflow.editing.metrics.texts.options import GenerationOptions
from editflow.flows.planning.workload import (
    DOCUMENT,
    DOUBLE,
    FILE,
    PARSED,
    ROW,
    TEXT,
    WIDE,
    Scale,
    StageCost,
    StageInputs,
)
from editflow.tasks.stages.ability import AbilitySettings
from editflow.tasks.stages.documents import DocumentsSettings
from editflow.tasks.stages.drift import HiddenStatesSettings
from editflow.tasks.stages.edits import TargetValuesSettings
from editflow.tasks.stages.evaluation import EvaluationSettings
from editflow.tasks.stages.moments import SecondMomentSettings, SpectrumSettings, TokensSettings
from editflow.tasks.stages.settings import Settings
from editflow.tasks.stages.solver_inputs import WeightChangeSettings
from editflow.tasks.stages.stage import Stage


def _model(a: StageInputs[Any]) -> StageCost:
    return StageCost(a.scale.tensors, FILE + ROW * a.scale.tensors)


def _documents(a: StageInputs[DocumentsSettings]) -> StageCost:
    """All scanned documents are read; at most the whole corpus is kept."""
    count = a.settings.documents + a.settings.held_out_documents
    size = min(count * DOCUMENT, a.scale.corpus)
    return StageCost(
        count, FILE + size, memory=4 * size, moved=PARSED * min(a.settings.scan * DOCUMENT, a.scale.corpus)
    )


def _tokens(a: StageInputs[TokensSettings]) -> StageCost:
    """An upper limit: the documents may have fewer tokens. Rows are tokens here."""
    return StageCost(a.settings.tokens, FILE + 2 * a.settings.tokens, memory=100 * a.settings.tokens)


def _second_moment(a: StageInputs[SecondMomentSettings]) -> StageCost:
    """Packed triangles. Each token's k kᵀ costs 2d² in the model's dtype; the sum of a pass is then added in float64,
    2d² more. Sums, their copies and the packed rows are in memory."""
    s, layers, tokens = a.scale, a.settings.layers, a.rows("tokens")
    squares = s.squares(layers)
    held = 4 * a.settings.tokens_per_pass * sum(s.widths[n][1] for n in layers)
    return StageCost(
        tokens, FILE + s.moment * squares / 2,
        model=s.passes(tokens, last=max(layers)) + 2 * tokens * squares,
        exact=2 * squares * tokens / a.settings.tokens_per_pass, memory=2.5 * DOUBLE * squares + held,
    )  # fmt: skip


def _merge(a: StageInputs[Any]) -> StageCost:
    squares = a.scale.squares(a.scale.spec.moment_layers)
    parts = len(a.parents["second_moment"])
    memory = 2.5 * DOUBLE * squares
    size = FILE + a.scale.moment * squares / 2
    return StageCost(a.rows("second_moment"), size, exact=parts * squares, memory=memory, moved=(parts + 1) * size)


def _spectrum(a: StageInputs[SpectrumSettings]) -> StageCost:
    """Reduction to tridiagonal form, 4/3 d³, half of it in matrix-vector products, which are about ten times slower."""
    d = a.scale.widths[a.settings.layer][1]
    all_layers = a.scale.squares(a.scale.spec.moment_layers)
    memory = DOUBLE * (1.5 * all_layers + 4 * d**2)
    return StageCost(d, FILE + DOUBLE * d**2 / 2, exact=4 * d**3, memory=memory)


def _null_space(a: StageInputs[Threshold]) -> StageCost:
    """At most half of the directions, the thinner side, unless the rule fixes the number."""
    d, share = a.rows("spectrum"), 0.5
    if a.settings.rule == "rank":
        share = min(a.settings.value, 1 - a.settings.value)
    return StageCost(share * d, FILE + DOUBLE * share * d**2, exact=4 * share * d**3, memory=4 * DOUBLE * d**2)


def _contexts(a: StageInputs[ContextOptions]) -> StageCost:
    """Token by token: a pass reads all weights for a few tokens, and takes as long as one of 40 tokens."""
    tokens = a.settings.tokens
    return StageCost(a.settings.count, FILE + ROW * a.settings.count, model=a.scale.passes(40.0 * tokens))


def _chunk_facts(a: StageInputs[TargetValuesSettings]) -> float:
    """The number of facts in a chunk of a batch."""
    size = float(a.settings.chunk_size)
    return min(size, max(0.0, a.rows("requests") - float(a.settings.chunk) * size))


def _target_values(a: StageInputs[TargetValuesSettings]) -> StageCost:
    """All steps, forward and backward, from the z layer up, over what follows the subject: half a prompt, target."""
    s, facts, rows = a.scale, _chunk_facts(a), a.rows("contexts") + 1
    prompts, suffix = _prompts(s), s.prompt / 2 + s.target
    options, z = a.settings.options, a.settings.z_layer
    once = s.passes(facts * rows * prompts)
    each = 2 * s.passes(facts * (rows * suffix + 1), first=z + 1)
    activations = 4 * 20 * s.widths[0][0] * (len(s.widths) - z)
    memory = s.logits(options.tokens_per_pass) + options.tokens_per_pass * activations
    return StageCost(facts, WIDE + facts * (DOUBLE * s.widths[0][0] + ROW), once + options.steps * each, memory=memory)


def _prompts(s: Scale) -> float:
    """The number of tokens of a prompt with its context."""
    return s.prompt + s.target + s.spec.contexts.tokens


def _weight_change(a: StageInputs[WeightChangeSettings]) -> StageCost:
    """Keys are read layer by layer, each pass from the layer before; then systems are solved. Factors or whole weights
    are stored."""
    s, facts = a.scale, a.rows("requests")
    chosen = method(a.settings.method)
    if not isinstance(chosen, ClosedForm):
        return _training(a, facts)
    rows = facts * (a.rows("contexts") + 1) * _prompts(s)
    passes = 2 * s.passes(rows, last=s.spec.edit.z_layer)
    wide = a.parents.get("second_moment")
    cubes = sum(s.widths[n][1] ** 3 for n in s.layers)
    factors = facts * sum(sum(s.widths[n]) for n in s.layers)
    kept = DOUBLE * factors if chosen.form == "low_rank" else s.widened * s.weights(s.layers)
    solve = (cubes if wide else 0) + facts * s.squares(s.layers) * 4 + 2 * s.weights(s.layers) * facts
    squares = DOUBLE * s.squares(s.layers)
    memory = (3 * squares if wide else 0) + (squares if a.parents.get("null_space") else 0)
    memory += 3 * DOUBLE * s.weights(s.layers)
    return StageCost(2 * facts * len(s.layers), FILE + kept, passes, solve, memory)


def _training(a: StageInputs[WeightChangeSettings], facts: float) -> StageCost:
    """All steps of fine-tuning, with gradients of the edited weights; whole weights are stored."""
    s, kept = a.scale, a.scale.weights(a.scale.layers)
    tokens = facts * (s.prompt + s.target)
    steps = getattr(a.settings.options, "steps", 1)  # a training method may have no option `steps`
    passes = steps * 2.5 * s.passes(tokens)
    held = tokens * (4 * 20 * s.widths[0][0] * (len(s.widths) - s.layers[0])) + 4 * DOUBLE * kept
    return StageCost(
        sum(s.widths[n][0] for n in s.layers), FILE + s.widened * kept, passes, memory=held + s.logits(tokens)
    )


def _keys(a: StageInputs[WeightChangeSettings]) -> StageCost:
    """Means over contexts, hardly compressible. Computed with the weight change; alone, they cost the same."""
    s, facts = a.scale, a.rows("requests")
    made = _weight_change(a)
    wide = sum(s.widths[n][1] for n in s.layers)
    return StageCost(facts * len(s.layers), FILE + (DOUBLE - 1) * facts * wide, made.model, made.exact, made.memory)


def _state(a: StageInputs[Any]) -> StageCost:
    """Δ is multiplied out and added layer by layer, and the weights are hashed."""
    s, facts = a.scale, a.rows("requests")
    weights = s.weights(s.layers)
    return StageCost(
        len(s.layers), FILE + 250 * len(s.layers), exact=(2 * facts + 40) * weights, memory=_update_memory(s)
    )


def _checkpoint(a: StageInputs[Any]) -> StageCost:
    s = a.scale
    weights = s.weights(s.layers)
    exact, memory = 60 * weights, _update_memory(s) + 2 * DOUBLE * weights
    return StageCost(sum(s.widths[n][0] for n in s.layers), FILE + s.widened * weights, exact=exact, memory=memory)


def _update_memory(s: Scale) -> float:
    """Bytes that are needed to update the largest weight."""
    return 3 * DOUBLE * max(s.widths[n][0] * s.widths[n][1] for n in s.layers)


def _evaluation(a: StageInputs[EvaluationSettings]) -> StageCost:
    """Every prompt with two answers, 64 prompts per pass."""
    s = a.scale
    rows = a.rows("requests") * sum(s.asked.get(name, 0.0) for name in a.settings.metrics)
    tokens = s.prompt + 2 * s.target
    each = s.prompt * (s.target if a.settings.published else 0)
    memory = s.logits(64 * 2 * s.target) + 64 * tokens * 4 * 10 * s.widths[0][0]
    return StageCost(rows, WIDE + ROW * rows, s.passes(rows * (tokens + each)), memory=memory)


def _perplexity(a: StageInputs[Any]) -> StageCost:
    """Four windows per pass."""
    tokens = a.rows("tokens")
    held = a.scale.logits(4 * a.scale.spec.corpus.window)
    return StageCost(a.scale.spec.corpus.held_out_documents, FILE, a.scale.passes(tokens), memory=held)


def _generations(a: StageInputs[GenerationOptions]) -> StageCost:
    """Texts and answers, 32 prompts per pass; the pass of each token takes as long as one of 40 tokens at least."""
    s, facts = a.scale, a.rows("requests")
    texts = facts * 3
    answers = facts * (1 + s.asked.get("paraphrase", 2.0) + s.asked.get("portability", 0.0))
    tokens = texts * a.settings.tokens + answers * a.settings.answer_tokens
    return StageCost(texts + answers, FILE + tokens * TEXT / 2, s.passes(tokens * 2), memory=s.logits(64))


def _essence(a: StageInputs[Any]) -> StageCost:
    tokens = a.rows("requests") * 4 * a.scale.spec.texts.tokens
    return StageCost(a.rows("requests") * 4, FILE + ROW * a.rows("requests") * 4, a.scale.passes(tokens))


def _hidden_states(a: StageInputs[HiddenStatesSettings]) -> StageCost:
    """The last token of each prompt, in float32."""
    s, layers = a.scale, a.settings.layers
    prompts = min(a.settings.count, a.rows("requests") * s.asked.get("neighbourhood", 10.0))
    kept = 4 * prompts * len(layers) * s.widths[0][0]
    return StageCost(prompts * len(layers), FILE + kept, s.passes(prompts * s.prompt, last=max(layers)))


def _ability(a: StageInputs[AbilitySettings]) -> StageCost:
    """Each question once with all options, and each generated answer token by token."""
    rows = a.rows("cases") * len(a.settings.ways)
    tokens = rows * (150 + 4 * (a.settings.tokens or 0))
    return StageCost(rows, FILE + ROW * rows, a.scale.passes(tokens))


def _scores(a: StageInputs[Any]) -> StageCost:
    """Rows of scores, which need no model."""
    rows = sum(sum(found) for found in a.parents.values())
    return StageCost(rows, FILE + ROW * rows)


COSTS: dict[str, Callable[[StageInputs[Any]], StageCost]] = {
    "model": _model,
    "documents": _documents,
    "tokens": _tokens,
    "second-moment": _second_moment,
    "merge-moments": _merge,
    "spectrum": _spectrum,
    "null-space": _null_space,
    "contexts": _contexts,
    "target-values": _target_values,
    "weight-change": _weight_change,
    "keys": _keys,
    "state": _state,
    "checkpoint": _checkpoint,
    "evaluation": _evaluation,
    "perplexity": _perplexity,
    "generations": _generations,
    "text-scores": _scores,
    "essence": _essence,
    "hidden-states": _hidden_states,
    "drift": _scores,
    "drift-points": _scores,
    "ability": _ability,
}
"""{stage name: function that estimates its cost}"""


def cost_of(stage: Stage[Settings], inputs: StageInputs[Settings]) -> StageCost:
    """The cost of a stage; a stage that is not in the table is assumed to need no model."""
    return COSTS.get(stage.name, _scores)(inputs)
