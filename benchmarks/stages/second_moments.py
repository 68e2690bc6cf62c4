"""Second moments of five layers."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import inputs
from benchmarks.literal.statistics import second_moment
from benchmarks.stage import Answer, Stage, Work, least_of_peak, near
from editflow.editing.models.moments import second_moments

PER_PASS = 2048


@dataclass(frozen=True)
class Size:
    """Tokens of the corpus, in windows of 256."""

    tokens: int


def ours(size: Size) -> Work:
    """One pass for all layers."""
    model = inputs.model()
    windows = inputs.token_windows(model, size.tokens, 256)

    def work() -> Answer:
        found = second_moments(model, inputs.LAYERS, windows, PER_PASS)
        return Answer(size.tokens, {str(layer): moment.mean().numpy() for layer, moment in found.items()})

    return work


def literal_way(size: Size) -> Work:
    """One pass a layer, over the same batches."""
    model = inputs.model()
    windows = sorted(inputs.token_windows(model, size.tokens, 256), key=len, reverse=True)
    batches = [windows[i : i + PER_PASS // 256] for i in range(0, len(windows), PER_PASS // 256)]

    def work() -> Answer:
        found = {
            str(layer): second_moment(model.model, model.layers[layer], model.down_projection(layer), batches)
            for layer in inputs.LAYERS
        }
        return Answer(size.tokens, {layer: moment.numpy() for layer, moment in found.items()})

    return work


def compare(ours: Answer, literal: Answer) -> str:
    """Every entry within float32's round-off."""
    return max(near(f"layer {layer}", ours.values[layer], literal.values[layer], 1e-4) for layer in ours.values)


STAGE = Stage(
    title="second moments, 5 layers",
    unit="token",
    wanted={"quick": 2.4, "full": 3.0},
    sizes={"tiny": Size(600), "quick": Size(4_096), "full": Size(32_768)},
    ours=ours,
    literal=literal_way,
    compare=compare,
    limits=least_of_peak(0.7),
)
