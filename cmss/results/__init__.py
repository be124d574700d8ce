"""Scores of a run: rows, files, merging of shards, summaries, comparison of runs.

Names of files and columns are the official ones. A run in a single job writes `scores.csv`; shard
`batch` of `batch_size` writes `scores_{batch + 1}-{batch_size}.csv`. Beside each of these files
there is a `components` file with the components of HAAQI, and a `fingerprints` file with digests of
inputs and settings.
"""

from cmss.results.comparison import Difference, compare, compare_folders, format_differences
from cmss.results.merging import format_summary, merge, summarise
from cmss.results.rows import EARS, ComponentRow, FingerprintRow, ScoreRow, shard_path
from cmss.results.score_files import ScoreFiles

__all__ = [
    "EARS",
    "ComponentRow",
    "Difference",
    "FingerprintRow",
    "ScoreFiles",
    "ScoreRow",
    "compare",
    "compare_folders",
    "format_differences",
    "format_summary",
    "merge",
    "shard_path",
    "summarise",
]
