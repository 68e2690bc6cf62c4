"""Speed, measured: the published procedure as written in the papers against ours, alternately, in one run."""
