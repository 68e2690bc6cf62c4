"""The index of a lake: Delta tables and the lineage graph, which can be rebuilt from manifests and run records."""
