"""Reads command-line options, and the files of downloaded packages."""
