"""Remixes music for people with hearing loss: task 2 of the Second Cadenza Challenge (CAD2).

The module :mod:`cmss.pipeline` is the best place to start reading.
"""

__version__ = "0.1.0"
