"""Runs and artifacts recomputed, here or from a bundle, and compared with what was recorded."""
