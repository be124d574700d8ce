"""Reads and writes text and CSV files, checks sound files, and computes digests."""
