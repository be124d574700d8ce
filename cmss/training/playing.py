"""A segment of a stem as a random mixture plays it: at another pitch, coloured, at another level.

Compiled, since a step of training draws some thirty of them and a separator of a few million
parameters would otherwise wait for its data on two cores.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def play(
    stem: NDArray[np.int16],
    start: int,
    speed: float,
    sections: NDArray[np.float64],
    gain: float,
    samples: int,
) -> NDArray[np.float32]:
    """Resample by linear interpolation, filter, scale.

    Args:
        stem: (channels, at least start + samples x speed + 2).
        start: first sample taken.
        speed: samples of the stem per sample played; above one the pitch is higher.
        sections: (sections, 6), second-order sections as in :func:`scipy.signal.sosfilt`.
        gain: factor of the level; full scale of `stem` is one.
        samples: how many to play.

    Returns:
        (channels, samples).
    """
    channels = stem.shape[0]
    played = np.empty((channels, samples), np.float32)
    state = np.empty((len(sections), 2))
    for channel in range(channels):
        state[:] = 0
        for n in range(samples):
            position = n * speed
            before = int(position)
            part = position - before
            x = (1 - part) * stem[channel, start + before] + part * stem[
                channel, start + before + 1
            ]
            x *= gain / 32768
            for k in range(len(sections)):
                b0, b1, b2, _, a1, a2 = sections[k]
                y = b0 * x + state[k, 0]
                state[k, 0] = b1 * x - a1 * y + state[k, 1]
                state[k, 1] = b2 * x - a2 * y
                x = y
            played[channel, n] = x
    return played
