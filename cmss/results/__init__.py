"""Writes, reads, merges and compares the scores of runs.

Files and columns have their official names. A run in a single job writes `scores.csv`. If a run is
split into several jobs, the job with index `batch` writes `scores_{batch + 1}-{batch_size}.csv`,
where `batch_size` is the number of jobs. For each of these files, the run also writes a file
`components...` with the components of HAAQI, and a file `fingerprints...` with digests of inputs
and settings. The scores of one job are called a shard.
"""
