"""A run: its stages in order, reuse, measurements, gates and record."""
