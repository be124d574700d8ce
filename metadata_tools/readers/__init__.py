"""Reads published data sets, and converts them to the challenge's layout."""
