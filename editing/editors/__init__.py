"""Facts, contexts, keys, target values, the loop over layers, and one file per method."""
