"""Writes, reads, merges and compares the scores of runs.

The score files and their columns have the same names as in the official evaluation. A run in a
single job writes `scores.csv`. If a run is split into several jobs, the job with index `batch`
writes `scores_{batch + 1}-{batch_size}.csv`, where `batch_size` is the number of jobs. For each
score file, the run also writes two other files: `components...` with the components of HAAQI, and
`fingerprints...` with digests of inputs and settings. The scores of one job are called a shard.
"""
