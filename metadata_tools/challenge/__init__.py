"""Writes data in the challenge's layout, and plans how to unpack the challenge's packages."""
