"""Models: families, loading, forward passes, positions of subjects, weights."""
