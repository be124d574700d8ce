"""A signal as the sum of its parts in frequency bands, without any delay."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

OVERLAP_OCTAVES = 0.5
"""Width of the cross-fade from one band to the next, centred on the edge in octaves."""


def band_responses(hz: NDArray[np.floating], edges_hz: Sequence[float]) -> NDArray[np.float64]:
    """Zero-phase responses of the bands between some edges, which sum to one at each frequency.

    Args:
        hz: (frequencies,) where.
        edges_hz: ascending edges between the bands, at least an octave times
            :data:`OVERLAP_OCTAVES` apart.

    Returns:
        (len(edges_hz) + 1, frequencies).
    """
    octaves = np.log2(np.maximum(hz, 1e-3)[None] / np.asarray(edges_hz, float)[:, None])
    ramp = np.clip(octaves / OVERLAP_OCTAVES + 0.5, 0, 1)
    above = np.sin(np.pi / 2 * ramp) ** 2
    whole = np.ones((1, len(hz)))
    return np.concatenate((whole, above)) - np.concatenate((above, 0 * whole))


def band_split(
    signal: NDArray[np.floating], edges_hz: Sequence[float], sample_rate_hz: int
) -> NDArray[np.float64]:
    """The parts of a signal in bands; their sum is the signal.

    Args:
        signal: (..., samples).
        edges_hz: see :func:`band_responses`; none at all gives the signal as its only band.
        sample_rate_hz: of the signal.

    Returns:
        (bands, ..., samples).
    """
    each_alone = np.eye(len(edges_hz) + 1)
    return np.stack([band_sum(signal, alone, edges_hz, sample_rate_hz) for alone in each_alone])


def band_sum(
    signal: NDArray[np.floating],
    weights: NDArray[np.floating],
    edges_hz: Sequence[float],
    sample_rate_hz: int,
) -> NDArray[np.float64]:
    """The weighted sum of a signal's parts in bands.

    Args:
        signal: (..., samples).
        weights: (bands,), one more than edges.
        edges_hz: see :func:`band_responses`.
        sample_rate_hz: of the signal.

    Returns:
        (..., samples).
    """
    samples = signal.shape[-1]
    # Zeros behind the signal, as long as the filters ring (below -80 dB after a fifth of a
    # second for the lowest edges in use), keep its end from reaching round to its start.
    length = next_fast_len(samples + sample_rate_hz // 5, real=True)
    response = weights @ band_responses(rfftfreq(length, 1 / sample_rate_hz), edges_hz)
    return irfft(rfft(signal, length) * response, length)[..., :samples]
