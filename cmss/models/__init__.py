"""Defines separation networks as torch modules, which process an excerpt in a single pass."""
