"""Reads the options of the commands, and downloaded packages."""
