"""Implements `python -m cmss.listen`, which remixes and amplifies recordings for a listener."""

from cmss.listen.command import main

__all__ = ["main"]
