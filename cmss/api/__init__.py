"""Provides the functions of the package `cmss`, which process arrays in memory.

Each function accepts NumPy arrays and torch tensors and returns the same type
(:mod:`cmss.api.waveforms`). The functions are public as `cmss.separate`, `cmss.rebalance`,
`cmss.amplify`, `cmss.score` and `cmss.list_separators`.
"""
