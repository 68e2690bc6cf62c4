"""Models: sources, downloads, identity, and loaded weights in any state."""
