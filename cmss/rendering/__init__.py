"""Renders music from recorded single notes and scores."""
