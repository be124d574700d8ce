"""Defines separation networks: torch modules that process an excerpt in a single pass."""
