"""Benchmarks: our implementation compared with the published procedure as written in the papers."""
