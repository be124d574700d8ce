"""Reads the configuration of a run, plans and scores the files, and manages the run's folder."""
