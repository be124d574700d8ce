"""A run: its configuration, its folder and the files that it keeps there."""
