"""`editflow tune`: a search for settings, and the spec that it writes."""
