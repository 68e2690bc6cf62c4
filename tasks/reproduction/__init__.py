"""Runs and artifacts computed again, here or from a bundle, and compared with what was recorded."""
