"""What a run is asked for: the spec, its file, its settings and variants."""
