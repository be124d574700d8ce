"""Writes the page with which a listener mixes the players of a recording in a browser.

The files engine.js, player.js and player.css are also those of the report of a run.
"""

from cmss.pages.mixing_page import LONGEST_S, common_scale, write_page, write_track

__all__ = ["LONGEST_S", "common_scale", "write_page", "write_track"]
