"""Untrusted inputs: lakes, bundles, models, specs, facts and SQL statements, each a valid one with one change.

Case k is always the same input. `python tests/support/hostile_cases 417` runs case 417 and prints its result;
`python tests/support/hostile_cases 0:1000 lake` runs all lakes among the first thousand cases. `laws.py` has the rules
that every case must obey; `watch.py` observes files, processes and connections.
"""
