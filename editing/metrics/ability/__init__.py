"""Sets of questions about general ability: one file a set."""
