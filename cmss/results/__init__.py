"""Writes, reads, merges and compares the scores of runs.

Files and columns have their official names. A run in a single job writes `scores.csv`. If a run is
split into several jobs, the job with index `batch` writes `scores_{batch + 1}-{batch_size}.csv`,
where `batch_size` is the number of jobs. For each of these files, the run also writes a file
`components...` with the components of HAAQI, and a file `fingerprints...` with digests of inputs
and settings. The scores of one job are called a shard.
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
