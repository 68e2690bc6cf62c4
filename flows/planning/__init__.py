"""`editflow plan`: what a run would compute, and what that costs."""
