"""`editflow plan`: the artifacts that a run would compute, and their cost."""
