"""Read-only SQL over a lake, bounded in time and memory."""
