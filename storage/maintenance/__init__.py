"""Maintenance of a whole lake: audit, restoration, garbage collection."""
