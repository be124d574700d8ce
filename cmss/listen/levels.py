"""Measures levels, and chooses the level of the files that are written."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cmss.audio import true_peak
from cmss.machine.pieces import pieces

COMFORTABLE_LUFS = -23.0
"""Loudness of the files, recommended by EBU R 128."""
HIGHEST_PEAK_DBTP = -1.0
"""Highest true peak, recommended by EBU R 128."""


def written_lufs(
    signals: Iterable[tuple[NDArray[np.floating], float]], sample_rate_hz: int
) -> float:
    """Return the loudness at which several signals are written, so that no signal clips.

    Args:
        signals: pairs of a signal (channels, samples) and a loudness in LUFS. The gain of each
            signal in dB is the result of this function minus the given loudness. If the loudness of
            another signal is given, both signals get the same gain.
        sample_rate_hz: sampling rate of all signals.

    Returns:
        :data:`COMFORTABLE_LUFS`, or less if a true peak would exceed :data:`HIGHEST_PEAK_DBTP`.
    """
    level = COMFORTABLE_LUFS
    for signal, lufs in signals:
        if peak := true_peak(pieces(signal), sample_rate_hz):
            level = min(level, lufs + HIGHEST_PEAK_DBTP - 20 * math.log10(peak))
    return level


def loudest_second_db(signal: NDArray[np.floating], sample_rate_hz: int) -> float:
    """Return the level of the loudest second: mean power in dB relative to full scale.

    Args:
        signal: signal (channels, samples). The level of a signal shorter than a second is computed
            from the complete signal.
        sample_rate_hz: sampling rate of the signal.

    Returns:
        The level in dB; the level of silence is minus infinity.
    """
    tenth, samples = sample_rate_hz // 10, signal.shape[-1]
    energies = [
        float(np.sum(np.square(piece[:, start : start + tenth], dtype=np.float64)))
        for piece in pieces(signal, 100 * tenth)
        for start in range(0, piece.shape[-1], tenth)
    ]
    # Sum the energies of ten successive blocks of 0.1 s.
    loudest = np.convolve(energies, np.ones(10)).max()
    power = loudest / (len(signal) * min(samples, 10 * tenth))
    return 10 * math.log10(power) if power else -math.inf
