"""z* of facts of mixed length, a fixed number of steps, float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks import inputs
from benchmarks.literal.facts import question
from benchmarks.literal.target_values import Settings, target_values
from benchmarks.stage import Answer, Disagreement, Stage, Work
from editing.editors.facts import cost_order, prepare
from editing.editors.options import TargetValueOptions
from editing.editors.target_values import optimise


@dataclass(frozen=True)
class Size:
    """Facts for us; the literal way takes some of the same, equally spaced, and is compared per fact."""

    facts: int
    literal: int
    steps: int


def _options(size: Size) -> TargetValueOptions:
    return TargetValueOptions(steps=size.steps, stop_at=-1.0)


def ours(size: Size) -> Work:
    """Batched, from the cached prefix on."""
    model = inputs.model()
    options, contexts = _options(size), inputs.contexts(model)
    facts = cost_order([prepare(model.tokenizer, r, contexts, options.kl_prompt) for r in inputs.requests(size.facts)])
    real = _real_share([[len(row.suffix) for row in fact.rows] for fact in facts], options.facts_per_pass)

    def work() -> Answer:
        values = optimise(model, inputs.Z_LAYER, facts, options)
        return Answer(len(values), {value.request_id: np.array(value.loss) for value in values}, real)

    return work


def _real_share(lengths: list[list[int]], per_pass: int) -> float:
    real = padded = 0
    for start in range(0, len(lengths), per_pass):
        part = [n for fact in lengths[start : start + per_pass] for n in fact]
        real, padded = real + sum(part), padded + max(part) * len(part)
    return real / padded


def literal_way(size: Size) -> Work:
    """One fact at a time, from token 0."""
    model = inputs.model()
    options, contexts = _options(size), inputs.contexts(model)
    settings = Settings(
        options.learning_rate, options.steps, options.stop_at, options.clamp, options.weight_decay, options.kl
    )
    chosen = inputs.spread(inputs.requests(size.facts), size.literal)
    facts = [question(model.tokenizer, r.prompt, r.subject, r.target_new, contexts) for r in chosen]
    layer = model.layers[inputs.Z_LAYER]

    def work() -> Answer:
        found = target_values(model.model, layer, facts, settings)
        return Answer(len(found), {r.request_id: np.array(f.loss) for r, f in zip(chosen, found, strict=True)})

    return work


def compare(ours: Answer, literal: Answer) -> str:
    """Mean final loss of the facts that both did, within 1 %."""
    same = [float(ours.values[name]) for name in literal.values]
    theirs = [float(value) for value in literal.values.values()]
    distance = abs(np.mean(same) / np.mean(theirs) - 1)
    if distance > 0.01:
        raise Disagreement(f"mean loss {np.mean(same):.4g} against {np.mean(theirs):.4g}")
    return f"mean loss {np.mean(same):.4f}, {np.mean(theirs):.4f}"


STAGE = Stage(
    title="target values z*",
    unit="fact",
    wanted={"quick": 3.0, "full": 8.0},
    sizes={"tiny": Size(4, 2, 2), "quick": Size(12, 2, 6), "full": Size(100, 8, 25)},
    ours=ours,
    literal=literal_way,
    compare=compare,
    rounds={"quick": 2, "full": 1},
)
