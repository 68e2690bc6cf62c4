"""Comparison of several runs, in one table and on one page."""
