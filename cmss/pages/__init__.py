"""Writes the browser page on which a listener mixes the instruments of a recording.

The report of a run also uses the files engine.js, player.js and player.css.
"""

from cmss.pages.mixing_page import LONGEST_S, common_scale, write_page, write_track

__all__ = ["LONGEST_S", "common_scale", "write_page", "write_track"]
