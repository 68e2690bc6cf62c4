"""Like `target_values`, but our implementation multiplies matrices in bfloat16."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.stage import Stage
from benchmarks.stages.target_values import OPTIONS, SIZES, compare_within, literal_with, ours_with

STAGE = Stage(
    title="target values z*, bfloat16",
    unit="fact",
    wanted={"full": 14.0},
    sizes={"tiny": SIZES["tiny"], "full": replace(SIZES["full"], literal=4)},
    ours=ours_with(replace(OPTIONS, forward="bfloat16")),
    literal=literal_with(OPTIONS),
    compare=compare_within(0.1),
    counted=False,
    rounds={"full": 1},
)
