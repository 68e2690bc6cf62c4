"""Metrics of an edited model: one file a metric."""
