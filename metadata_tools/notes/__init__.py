"""Reads, writes and synthesises single notes of instruments."""
