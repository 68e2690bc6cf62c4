"""Inputs from strangers: lakes, bundles, models, specs, facts and statements, each a good one with one thing changed.

Case k is the same input every time, whatever ran before it. `python tests/support/hostile_cases 417` runs one alone and
prints its result; `python tests/support/hostile_cases 0:1000 lake` runs all lakes among many. The laws are in
`laws.py`, what watches them in `watch.py`.
"""
