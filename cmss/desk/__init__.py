"""Implements `cmss desk`: a page, served to the same computer, that separates recordings.

A recording and an audiogram are given in the browser. The recording is separated once in another
process. The result is the page of `cmss listen --page`, on which the players are mixed.
"""

from cmss.desk.start import main

__all__ = ["main"]
