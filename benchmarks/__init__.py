"""Benchmarks: `python -m benchmarks.NAME` prints a ratio relative to another implementation.

Seconds depend on the machine. Therefore both implementations process the same input in the same
run, alternately. Benchmarks are not part of the test suite. Other modules of this package write
tables and figures of the documentation.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes" / "cad2"
