"""`editflow verify --repair`: damaged artifacts are restored or recomputed."""
