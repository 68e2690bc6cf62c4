"""Settings of tiny runs, one for each method and some of its options."""

from __future__ import annotations

SETTINGS = {
    "memit": ("edit.method=memit",),
    "memit with previous keys": ("edit.method=memit", "edit.previous_keys=true", "edit.ridge=0.1"),
    "memit, projected": ("edit.method=memit", "edit.projected=true"),
    "rome": ("edit.method=rome", "edit.layers=[2]", "edit.batch_size=1", "requests.count=3", "edit.checkpoint_every=3"),
    "rect": ("edit.method=rect", "edit.alpha=100"),
    "prune, projected": ("edit.method=prune", "edit.alpha=1", "edit.projected=true", "edit.checkpoint_every=1"),
    "ft": ("edit.method=ft", "edit.layers=[1, 2]", "edit.max_change=0.01", "edit.learning_rate=0.01"),
    "alphaedit, anchored and filtered": ("edit.anchor=true", "edit.protected_energy=0.3"),
}
"""The settings by name."""

MOMENT = frozenset({"second_moment"})
SPACE = frozenset({"second_moment", "spectrum", "null_space"})
NEEDS = {
    "memit": MOMENT,
    "memit with previous keys": MOMENT,
    "memit, projected": SPACE,
    "rome": MOMENT,
    "rect": MOMENT,
    "prune, projected": SPACE,
    "ft": frozenset[str](),
    "alphaedit, anchored and filtered": SPACE,
}
"""The kinds of artifacts that a run of these settings creates before its edits."""

SMALL = ("edit.batch_size=3", "evaluation.perplexity=false", 'evaluation.metrics=["efficacy"]')
"""Two batches of three facts, and few measurements."""
