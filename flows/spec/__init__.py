"""The spec of a run: its file, validation, settings and variants."""
