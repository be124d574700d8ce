"""Implements the commands of the console script `cmss`; recipes/cad2 runs the same code."""
