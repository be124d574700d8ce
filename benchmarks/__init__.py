"""Programs that measure: `python -m benchmarks.NAME` prints a ratio against a peer.

Seconds say little about another machine, so both sides take the same input in the same run, by
turns. Nothing here is part of the test suite.
"""
