"""Metrics of an edited model, one file per metric."""
