"""Processes long signals in pieces, so that memory does not grow with the length of a signal.

A signal in pieces is an iterable of arrays (channels, samples), which follow each other in time.
Functions that process a signal in pieces are generators: they receive an iterable of pieces, carry
their state from one piece to the next, and yield pieces of the result. The results of these
functions do not depend on the lengths of the pieces.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmss.machine.memory import large_array, release

Pieces = Iterable[NDArray[Any]]

PIECE = 2**18
"""Default number of samples in a piece, 6 s at 44.1 kHz."""


def pieces(signal: NDArray[Any], length: int | None = None) -> Iterator[NDArray[Any]]:
    """Divide a signal into pieces, and free the memory of each piece if the signal is on disk.

    Args:
        signal: (channels, samples), for example from :func:`cmss.machine.memory.large_array`.
        length: number of samples in each piece, by default :data:`PIECE`; the last piece may be
            shorter.
    """
    length = length or PIECE
    for start in range(0, signal.shape[-1], length):
        yield signal[:, start : start + length]
        release(signal)


def gathered(signal: Pieces, samples: int, arrays: int = 1) -> NDArray[np.float32]:
    """Join the pieces of a stereo signal; a long signal is stored on disk.

    Args:
        signal: pieces (2, samples).
        samples: number of samples in all pieces.
        arrays: number of signals of this length that are needed at the same time.

    Returns:
        (2, samples), from :func:`cmss.machine.memory.large_array`.

    Raises:
        OSError: there is no space on the disk.
    """
    joined = large_array((2, samples), arrays)
    position = 0
    for piece in signal:
        joined[:, position : position + piece.shape[-1]] = piece
        release(joined)
        position += piece.shape[-1]
    return joined
