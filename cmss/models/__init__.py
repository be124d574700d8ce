"""Separation networks as torch modules. Each module processes an excerpt in a single pass."""
