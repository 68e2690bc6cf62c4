"""Like `update`, at the width of Llama-3-8B's keys."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.stages.update import STAGE as UPDATE
from benchmarks.stages.update import Size

STAGE = replace(
    UPDATE,
    title="closed-form update, d 14,336",
    wanted={"full": 60.0},
    sizes={"tiny": Size(60, 20, 5, 12, 45), "full": Size(14_336, 4_096, 100, 1_900, 11_182)},
    rounds={"full": 1},
)
