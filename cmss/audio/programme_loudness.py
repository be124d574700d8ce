"""Measures the loudness and the true peak of signals (ITU-R BS.1770-4)."""

from itertools import count

import numpy as np
import numpy.typing as npt

from cmss.audio.resampling import resampled
from cmss.machine.pieces import Pieces

SHORTEST_LOUDNESS_S = 0.4
"""Length of a gating block of ITU-R BS.1770-4. The integrated loudness of a shorter signal is not
defined."""


def loudness_lufs(signal: np.ndarray, sample_rate_hz: int) -> float:
    """Compute the integrated loudness (ITU-R BS.1770-4); -inf for silence.

    Args:
        signal: (channels, samples), mono or stereo, at least :data:`SHORTEST_LOUDNESS_S` long.
        sample_rate_hz: sampling rate of the signal.

    Raises:
        ValueError: the signal is shorter than :data:`SHORTEST_LOUDNESS_S` seconds.
    """
    return loudness_of_pieces([signal], sample_rate_hz)


def k_weighting(sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Return the filters of ITU-R BS.1770-4 as SciPy's second-order sections, shape (2, 6)."""
    # Imported late, because it imports scipy.signal, which takes a second.
    import pyloudnorm

    filters = pyloudnorm.Meter(sample_rate_hz)._filters.values()
    return np.array([[*(f.passband_gain * f.b), *f.a] for f in filters])


def loudness_of_pieces(signal: Pieces, sample_rate_hz: int) -> float:
    """Compute the same loudness as :func:`loudness_lufs` for a signal that comes in pieces.

    Each piece is an array of shape (channels, samples).
    """
    # Imported late, because scipy.signal takes a second to import.
    from scipy.signal import sosfilt

    sections = k_weighting(sample_rate_hz)
    block = SHORTEST_LOUDNESS_S * sample_rate_hz
    # A block begins after each quarter of a block, rounded down to a sample, as in pyloudnorm.
    spans = ((int(n / 4 * block), int((n / 4 + 1) * block)) for n in count())
    start, stop = next(spans)
    powers: list[float] = []
    state = None
    kept, offset = np.empty(0), 0  # squared samples of incomplete blocks, and position of the first
    for piece in signal:
        if state is None:
            state = np.zeros((len(sections), len(piece), 2))
        weighted, state = sosfilt(sections, piece, zi=state)
        kept = np.concatenate([kept, np.square(weighted).sum(axis=0)])
        while stop <= offset + len(kept):
            powers.append(kept[start - offset : stop - offset].sum() / block)
            start, stop = next(spans)
        kept, offset = kept[start - offset :], start
    samples = offset + len(kept)
    if samples < block:
        raise ValueError(f"{samples} samples: expected at least {SHORTEST_LOUDNESS_S:g} s")
    # The last block may be incomplete, because the number of blocks is rounded.
    blocks = round(4 * (samples / block - 1)) + 1
    power = np.array([*powers, kept.sum() / block][:blocks])
    # Gating removes blocks below -70 LUFS, then blocks more than 10 LU below the loudness of the
    # rest.
    power = power[power >= 10 ** ((-70 + 0.691) / 10)]
    if not power.size:
        return -np.inf
    return float(-0.691 + 10 * np.log10(power[power > power.mean() / 10].mean()))


def true_peak(signal: Pieces, sample_rate_hz: int) -> float:
    """Return the largest magnitude at and between samples (true peak, ITU-R BS.1770-4, Annex 2).

    Args:
        signal: pieces of the signal, floating-point arrays of shape (channels, samples).
        sample_rate_hz: sampling rate of the signal; the function oversamples the signal by four.
    """
    between = resampled(signal, sample_rate_hz, 4 * sample_rate_hz)
    return max((float(np.abs(piece).max(initial=0.0)) for piece in between), default=0.0)
