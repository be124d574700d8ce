"""Splits a signal by zero-phase filters into frequency bands whose sum is the signal."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

OVERLAP_OCTAVES = 0.5
"""Width in octaves of the cross-fade between two bands, centred on the edge between the bands."""


def band_responses(hz: NDArray[np.floating], edges_hz: Sequence[float]) -> NDArray[np.float64]:
    """Return the zero-phase responses of the bands, whose sum is 1 at each frequency.

    Args:
        hz: frequencies at which the responses are evaluated, an array of shape (frequencies,).
        edges_hz: ascending edges between the bands, at least :data:`OVERLAP_OCTAVES` octaves apart.

    Returns:
        The responses, an array of shape (len(edges_hz) + 1, frequencies).
    """
    octaves = np.log2(np.maximum(hz, 1e-3)[None] / np.asarray(edges_hz, float)[:, None])
    ramp = np.clip(octaves / OVERLAP_OCTAVES + 0.5, 0, 1)
    above = np.sin(np.pi / 2 * ramp) ** 2
    # A band is the high-pass at its lower edge minus the high-pass at its upper edge.
    ones = np.ones((1, len(hz)))
    return np.concatenate((ones, above)) - np.concatenate((above, 0 * ones))


def band_split(
    signal: NDArray[np.floating], edges_hz: Sequence[float], sample_rate_hz: int
) -> NDArray[np.float64]:
    """Split a signal into bands whose sum is the signal.

    Args:
        signal: the signal, an array of shape (..., samples).
        edges_hz: edges between the bands, see :func:`band_responses`. Without edges, the signal is
            the only band.
        sample_rate_hz: sampling rate of the signal.

    Returns:
        The bands, an array of shape (bands, ..., samples).
    """
    each_alone = np.eye(len(edges_hz) + 1)
    return np.stack([band_sum(signal, alone, edges_hz, sample_rate_hz) for alone in each_alone])


def band_sum(
    signal: NDArray[np.floating],
    weights: NDArray[np.floating],
    edges_hz: Sequence[float],
    sample_rate_hz: int,
) -> NDArray[np.float64]:
    """Return the weighted sum of the bands of a signal.

    Args:
        signal: the signal, an array of shape (..., samples).
        weights: weight of each band, an array of shape (len(edges_hz) + 1,).
        edges_hz: edges between the bands, see :func:`band_responses`.
        sample_rate_hz: sampling rate of the signal.

    Returns:
        The weighted sum, an array of shape (..., samples).
    """
    samples = signal.shape[-1]
    # The FFT is circular. Zeros after the signal prevent its end from ringing into its start: for
    # the lowest edges in use, the filters decay below -80 dB within 200 ms.
    length = next_fast_len(samples + sample_rate_hz // 5, real=True)
    response = weights @ band_responses(rfftfreq(length, 1 / sample_rate_hz), edges_hz)
    return irfft(rfft(signal, length) * response, length)[..., :samples]
