"""Remixes music for people with hearing loss: task 2 of the Second Cadenza Challenge (CAD2).

The module :mod:`cmss.pipeline` is the best place to start reading.
"""

import os

# OpenMP reads this variable when torch is loaded. By default, threads that wait for each other keep
# their cores busy. On a processor that also runs other programs, the default separator then takes
# five times longer.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
