"""`editflow verify --repair`: damaged artifacts are restored or computed again."""
