"""The lake: what an artifact is, where its bytes are, and what it was made from."""
