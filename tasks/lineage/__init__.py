"""What an artifact was made from, what was made from it, and what depends on a fact or document."""
