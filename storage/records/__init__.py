"""Records beside artifacts: runs, refs, and tombstones of removed artifacts."""
