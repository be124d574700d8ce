"""Reads and writes files: atomic files, CSV, text, containers of sound files, and digests."""
