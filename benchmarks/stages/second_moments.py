"""Benchmark of the second moments of five layers. The size is the number of corpus tokens, in windows of 256."""

from __future__ import annotations

from benchmarks import inputs
from benchmarks.literal.statistics import second_moment
from benchmarks.stage import Answer, Stage, Work, compare_arrays, min_peak_share
from editflow.editing.models.moments import second_moments

PER_PASS = 2048


def ours(tokens: int) -> Work:
    """Run one pass for all layers."""
    model = inputs.model()
    windows = inputs.token_windows(model, tokens, 256)

    def work() -> Answer:
        found = second_moments(model, inputs.LAYERS, windows, PER_PASS)
        return Answer(tokens, {str(layer): moment.mean().numpy() for layer, moment in found.items()})

    return work


def literal_way(tokens: int) -> Work:
    """Run one pass per layer, over the same batches."""
    model = inputs.model()
    windows = sorted(inputs.token_windows(model, tokens, 256), key=len, reverse=True)
    batches = [windows[i : i + PER_PASS // 256] for i in range(0, len(windows), PER_PASS // 256)]

    def work() -> Answer:
        found = {
            str(layer): second_moment(model.model, model.layers[layer], model.down_projection(layer), batches)
            for layer in inputs.LAYERS
        }
        return Answer(tokens, {layer: moment.numpy() for layer, moment in found.items()})

    return work


def compare(ours: Answer, literal: Answer) -> str:
    """Compare all entries within float32 round-off."""
    return max(
        compare_arrays(f"layer {layer}", ours.values[layer], literal.values[layer], 1e-4) for layer in ours.values
    )


STAGE = Stage(
    title="second moments, 5 layers",
    unit="token",
    wanted={"quick": 2.4, "full": 3.0},
    sizes={"tiny": 600, "quick": 4_096, "full": 32_768},
    ours=ours,
    literal=literal_way,
    compare=compare,
    limits=min_peak_share(0.7),
)
