"""Like `target_values`, but ours uses bfloat16 and drops facts shortly after their target becomes the argmax.

Both implementations also stop at the published loss, so neither takes unnecessary steps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.stage import Answer, Disagreement, Stage
from benchmarks.stages.target_values import SIZES, Size, literal_with, ours_with
from editflow.editing.editors.options import TargetValueOptions

PUBLISHED = TargetValueOptions()
PATIENCE = 2
MAX_LOSS = 1.0
"""Maximum mean loss: the target has a probability of at least about a third."""


def compare(ours: Answer, literal: Answer) -> str:
    """Check our mean loss only, as losses differ by design; docs/performance.md has the effect on an edit's metrics."""
    mean = float(np.mean([float(ours.values[name]) for name in literal.values]))
    if mean > MAX_LOSS:
        raise Disagreement(f"mean loss {mean:.4g} exceeds {MAX_LOSS}")
    return f"mean loss {mean:.4f}, {np.mean([float(v) for v in literal.values.values()]):.4f}"


STAGE = Stage(
    title=f"target values z*, bfloat16, until argmax + {PATIENCE}",
    unit="fact",
    wanted={"full": 20.0},
    sizes={"tiny": Size(2, 1, 25), "full": replace(SIZES["full"], literal=4)},
    ours=ours_with(replace(PUBLISHED, forward="bfloat16", after_argmax=PATIENCE)),
    literal=literal_with(PUBLISHED),
    compare=compare,
    counted=False,
    rounds={"full": 1},
)
