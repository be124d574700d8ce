"""Implements `cmss desk`, a local web server with a page that separates recordings.

The user chooses a recording and an audiogram in the browser. The recording is separated only one
time, in another process. The result is a mixing page; `cmss listen --page` writes the same page. On
the mixing page, the user changes the balance of the players.
"""

from cmss.desk.start import main

__all__ = ["main"]
