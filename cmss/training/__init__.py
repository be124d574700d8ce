"""Trains separators, ensembles, post-filters and templates."""
