"""Sets of questions about general ability, one file per set."""
