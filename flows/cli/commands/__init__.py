"""The commands of `editflow`, one per file."""
