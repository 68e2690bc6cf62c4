"""The benchmarked stages, one module each, in the order of a run."""

NAMES = (
    "second_moments",
    "spectrum",
    "target_values",
    "target_values_bfloat16",
    "target_values_early",
    "update",
    "update_wide",
    "evaluation",
    "whole_run",
)
