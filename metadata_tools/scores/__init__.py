"""Reads scores, and assigns the parts of a score to instruments."""
