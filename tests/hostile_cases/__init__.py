"""Inputs from strangers: lakes, bundles, models, specs, facts and statements, each a good one with one thing changed.

Case k is the same input every time, whatever ran before it. `python tests/hostile_cases 417` asks one alone and says
what came; `python tests/hostile_cases 0:1000 lake` asks all lakes among many. The laws are in `laws.py`, what watches
them in `watch.py`.
"""
