"""The queue of edit requests, and which state is released."""
