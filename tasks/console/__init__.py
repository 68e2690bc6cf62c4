"""The terminal: colours, safe text and progress."""
