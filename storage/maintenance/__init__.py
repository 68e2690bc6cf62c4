"""The care of a whole lake: checks, restoration, garbage collection."""
