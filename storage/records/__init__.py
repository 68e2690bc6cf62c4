"""Records that are not artifacts: runs, names that move, and tombstones of removed artifacts."""
