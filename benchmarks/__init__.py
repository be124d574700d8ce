"""Benchmarks: `python -m benchmarks.NAME` prints a ratio relative to another implementation.

Seconds depend on the machine. So both implementations process the same input in the same run,
alternately. Benchmarks are not part of the test suite.
"""
