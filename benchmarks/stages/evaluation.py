"""Benchmark of efficacy, paraphrase and neighbourhood scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks import inputs
from benchmarks.literal.evaluation import score as literal_score
from benchmarks.stage import Answer, Disagreement, Stage, Work
from editflow.editing.metrics.measure import measure
from editflow.editing.metrics.registry import METRICS


@dataclass(frozen=True)
class Size:
    """Number of records for our implementation; the literal one evaluates some of them and is compared per record."""

    records: int
    literal: int


def ours(size: Size) -> Work:
    """Score both targets of a prompt in one pass over the prompt."""
    model, records = inputs.model(), inputs.requests(size.records)

    def work() -> Answer:
        rows = measure(model, records, list(METRICS))
        values: dict[str, np.ndarray] = {}
        for row in rows:
            name = f"{row.request_id} {row.prompt}"
            values[name] = np.array([row.nll_new, row.nll_true, row.accuracy])
        return Answer(size.records, values)

    return work


def literal_way(size: Size) -> Work:
    """Score one prompt and one target at a time."""
    model = inputs.model()
    chosen = inputs.spread(inputs.requests(size.records), size.literal)
    probes = []
    for r in chosen:
        wanted = [0] * (1 + len(r.paraphrase_prompts)) + [1] * len(r.neighborhood_prompts)
        for which, prompt in zip(wanted, (r.filled, *r.paraphrase_prompts, *r.neighborhood_prompts), strict=True):
            ids = model.tokenizer(prompt)["input_ids"]
            both = [model.tokenizer(f"{prompt} {t}")["input_ids"][len(ids) :] for t in (r.target_new, r.target_true)]
            probes.append((f"{r.request_id} {prompt}", ids, both, which))

    def work() -> Answer:
        values: dict[str, np.ndarray] = {}
        for name, ids, both, which in probes:
            (new, hit_new), (true, hit_true) = (literal_score(model.model, ids, target) for target in both)
            values[name] = np.array([new, true, (hit_new, hit_true)[which]])
        return Answer(size.literal, values)

    return work


def compare(ours: Answer, literal: Answer) -> str:
    """Compare the NLL of every prompt and target, and every success and accuracy."""
    pairs = [(ours.values[name], theirs) for name, theirs in literal.values.items()]
    distance = max(float(np.abs(mine[:2] - theirs[:2]).max()) for mine, theirs in pairs)
    flips = sum(bool((mine[0] < mine[1]) != (theirs[0] < theirs[1])) for mine, theirs in pairs)
    missed = sum(mine[2] != theirs[2] for mine, theirs in pairs)
    if distance > 2e-4 or flips or missed:
        raise Disagreement(
            f"NLL difference up to {distance:.2g}, {flips} of {len(pairs)} successes and {missed} accuracies differ"
        )
    return f"NLL difference {distance:.0e}, every success and accuracy the same"


STAGE = Stage(
    title="evaluation",
    unit="record",
    wanted={"quick": 8.0, "full": 8.0},
    sizes={"tiny": Size(4, 2), "quick": Size(32, 3), "full": Size(300, 30)},
    ours=ours,
    literal=literal_way,
    compare=compare,
)
