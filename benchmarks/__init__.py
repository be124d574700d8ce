"""Compares our programs with other implementations: `python -m benchmarks.NAME` prints a ratio.

Computing times depend on the machine. Therefore, both implementations process the same input
alternately in the same run, and the ratio of their computing times is printed. Benchmarks are not
part of the test suite. Some modules of this package write the tables and plots of the
documentation.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes" / "cad2"
