"""Several runs in one table and one page."""
