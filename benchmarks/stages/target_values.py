"""Benchmark of z* for facts of mixed length, with the same number of steps, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import inputs
from benchmarks.literal.facts import tokenize_fact
from benchmarks.literal.target_values import Settings, target_value
from benchmarks.stage import Answer, Disagreement, Stage, Work, min_peak_share
from editflow.editing.editors import facts as prepared
from editflow.editing.editors.facts import Fact, sort_by_length
from editflow.editing.editors.options import TargetValueOptions
from editflow.editing.editors.suffixes import split_into_passes
from editflow.editing.editors.target_values import optimise
from editflow.tasks.stages.edits import CHUNK


@dataclass(frozen=True)
class Size:
    """Number of facts for our implementation; the literal one takes evenly spaced ones of them, compared per fact."""

    facts: int
    literal: int
    steps: int


SIZES = {"tiny": Size(4, 2, 2), "quick": Size(16, 2, 6), "full": Size(100, 8, 25)}
OPTIONS = TargetValueOptions(stop_at=-1.0)


def ours_with(options: TargetValueOptions) -> Callable[[Size], Work]:
    """Optimise in batches, with the prefix cached."""

    def ours(size: Size) -> Work:
        model = inputs.model()
        chosen, contexts = replace(options, steps=size.steps), inputs.contexts(model)
        requests = inputs.requests(size.facts)
        facts = sort_by_length(
            [prepared.tokenize_fact(model.tokenizer, r, contexts, options.kl_prompt) for r in requests]
        )

        def work() -> Answer:
            values = [
                value
                for start in range(0, len(facts), CHUNK)
                for value in optimise(model, inputs.Z_LAYER, facts[start : start + CHUNK], chosen)
            ]
            losses = {value.request_id: np.array(value.loss) for value in values}
            return Answer(len(values), losses, _real_share(facts, options.tokens_per_pass))

        return work

    return ours


def _real_share(facts: Sequence[Fact], limit: int) -> float:
    """The share of the suffix tokens that are not padding."""
    real = sum(len(row.suffix) for fact in facts for row in fact.rows)
    padded = 0
    for start in range(0, len(facts), CHUNK):
        lengths = [len(fact.rows) * max(len(row.suffix) for row in fact.rows) for fact in facts[start : start + CHUNK]]
        padded += sum(len(part) * max(lengths[i] for i in part) for part in split_into_passes(lengths, limit))
    return real / padded


def settings_of(options: TargetValueOptions) -> Settings:
    """The same settings for the literal implementation."""
    return Settings(
        options.learning_rate, options.steps, options.stop_at, options.clamp, options.weight_decay, options.kl
    )


def literal_with(options: TargetValueOptions) -> Callable[[Size], Work]:
    """Optimise one fact at a time, from token 0."""

    def literal(size: Size) -> Work:
        model = inputs.model()
        contexts = inputs.contexts(model)
        settings = settings_of(replace(options, steps=size.steps))
        # Sorted by length, so that the chosen facts have the same length distribution.
        ordered = sorted(inputs.requests(size.facts), key=lambda r: len(model.tokenizer(r.filled)["input_ids"]))
        chosen = inputs.spread(ordered, size.literal)
        facts = [tokenize_fact(model.tokenizer, r.prompt, r.subject, r.target_new, contexts) for r in chosen]
        layer = model.layers[inputs.Z_LAYER]

        def work() -> Answer:
            found = [target_value(model.model, layer, fact, settings) for fact in facts]
            return Answer(len(found), {r.request_id: np.array(f.loss) for r, f in zip(chosen, found, strict=True)})

        return work

    return literal


def compare_within(limit: float) -> Callable[[Answer, Answer], str]:
    """Compare the mean final loss of the shared facts; raises Disagreement above a relative difference of `limit`."""

    def compare(ours: Answer, literal: Answer) -> str:
        our_mean = np.mean([float(ours.values[name]) for name in literal.values])
        literal_mean = np.mean([float(value) for value in literal.values.values()])
        if abs(our_mean / literal_mean - 1) > limit:
            raise Disagreement(f"mean loss {our_mean:.4g}, literal {literal_mean:.4g}")
        return f"mean loss {our_mean:.4f}, {literal_mean:.4f}"

    return compare


STAGE = Stage(
    title="target values z*",
    unit="fact",
    wanted={"quick": 4.5, "full": 8.0},
    sizes=SIZES,
    ours=ours_with(OPTIONS),
    literal=literal_with(OPTIONS),
    compare=compare_within(0.01),
    rounds={"quick": 2, "full": 1},
    limits=min_peak_share(0.55),
)
