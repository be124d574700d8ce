"""The level for which the hearing aid of the challenge is designed."""

import math

import numpy as np
from numpy.typing import NDArray

from cmss.audio import SHORTEST_LOUDNESS_S, loudness_lufs
from cmss.errors import InputError
from cmss.scenes import EXPECTED_LUFS


def to_hearing_aid_level(signal: NDArray[np.floating], rate_hz: int, name: str) -> float:
    """Return the factor that sets a signal to -40 LUFS, the loudness of the challenge's mixtures.

    Args:
        signal: (channels, samples).
        rate_hz: sampling rate of the signal.
        name: name of the argument, for messages.

    Raises:
        InputError: the signal is too short or too soft to have a loudness.
    """
    if signal.shape[-1] < round(SHORTEST_LOUDNESS_S * rate_hz):
        raise InputError(
            f"{name}: too short, expected at least {SHORTEST_LOUDNESS_S:g} s, "
            f"got {signal.shape[-1] / rate_hz:.3g} s"
        )
    lufs = loudness_lufs(signal, rate_hz)
    if not math.isfinite(lufs):
        raise InputError(f"{name}: too soft to have a loudness (below -70 LUFS)")
    return float(10 ** ((EXPECTED_LUFS - lufs) / 20))
