"""Prefect flows: which stages run in which order, and the command line that starts them."""
