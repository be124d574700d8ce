"""Reads the configuration of a run, plans and scores its files, and manages its folder."""
