"""From the name of a model to its files, its identity and its weights in any state."""
