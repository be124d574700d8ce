"""Defines the sampling rate and the level of signals for separators and the hearing aid."""

import math

import numpy as np
from numpy.typing import NDArray

from cmss.audio import SHORTEST_LOUDNESS_S, loudness_lufs
from cmss.errors import InputError
from cmss.scenes import EXPECTED_LUFS

SAMPLE_RATE_HZ = 44100
"""Sampling rate of the challenge's mixtures."""


def calibration(signal: NDArray[np.floating], name: str) -> float:
    """Return the factor that sets a signal to -40 LUFS, the loudness of the challenge's mixtures.

    Args:
        signal: (channels, samples) at :data:`SAMPLE_RATE_HZ`.
        name: name of the argument, for messages.

    Raises:
        InputError: the signal is too short or too soft to have a loudness.
    """
    if signal.shape[-1] < round(SHORTEST_LOUDNESS_S * SAMPLE_RATE_HZ):
        raise InputError(
            f"{name}: too short, expected at least {SHORTEST_LOUDNESS_S:g} s, "
            f"got {signal.shape[-1] / SAMPLE_RATE_HZ:.3g} s"
        )
    lufs = loudness_lufs(signal, SAMPLE_RATE_HZ)
    if not math.isfinite(lufs):
        raise InputError(f"{name}: too soft to have a loudness (below -70 LUFS)")
    return float(10 ** ((EXPECTED_LUFS - lufs) / 20))
