"""Adds a separator and a network to cmss."""
