"""Recorded runs, of a lake or a bundle: what repeating them reads, and what a bundle contains."""
