"""Music remixed for people with hearing loss: the Second Cadenza Challenge (CAD2), task 2.

Start reading at :mod:`cmss.pipeline`.
"""

__version__ = "0.1.0"
