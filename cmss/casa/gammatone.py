"""Implements a gammatone filterbank, which models the filters of the cochlea.

The impulse response of a filter at centre frequency f is t^3 exp(-2 pi b t) cos(2 pi f t), where b
= 1.019 ERB(f) and ERB(f) = 24.7 (4.37 f / 1000 + 1) Hz (Patterson et al. 1992; Glasberg and Moore
1990). The filter is implemented as a cascade of four complex one-pole filters at f (Hohmann 2002,
"Frequency analysis and synthesis using a gammatone filterbank", Acta Acustica 88). The real part of
the output is the motion of the basilar membrane, and the magnitude of the output is the envelope of
the motion.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

ORDER = 4
"""Number of one-pole filters in the cascade."""


def erb_hz(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the equivalent rectangular bandwidth of the auditory filter at each frequency."""
    return 24.7 * (4.37e-3 * hz + 1)


def erb_spaced_hz(low_hz: float, high_hz: float, channels: int) -> NDArray[np.float64]:
    """Return centre frequencies that are equally spaced on the ERB scale, including both limits.

    The ERB scale is the integral of 1 / ERB: (1000 / (24.7 * 4.37)) log(1 + 4.37 f / 1000).
    """
    low, high = np.log1p(4.37e-3 * np.array([low_hz, high_hz]))
    return np.expm1(np.linspace(low, high, channels)) / 4.37e-3


def gammatone(
    signal: NDArray[np.floating], centres_hz: NDArray[np.float64], sample_rate_hz: int
) -> NDArray[np.complex128]:
    """Filter a signal with gammatone filters; each filter has gain 1 at its centre frequency.

    Args:
        signal: the signal, an array of shape (samples,).
        centres_hz: centre frequencies below half the sampling rate, an array of shape (channels,).
        sample_rate_hz: sampling rate of the signal.

    Returns:
        The outputs of the filters, a complex array of shape (channels, samples).
    """
    decay = _decay(centres_hz, sample_rate_hz)
    poles = decay * np.exp(2j * np.pi * centres_hz / sample_rate_hz)
    outputs = np.empty((len(centres_hz), len(signal)), complex)
    for output, pole, radius in zip(outputs, poles, decay, strict=True):
        # A cosine is the sum of two complex exponentials with the factor 1/2. The filter passes
        # only one of these exponentials, so the gain is doubled.
        filtered = 2.0 * signal.astype(complex)
        for _ in range(ORDER):
            filtered = lfilter([1 - radius], [1, -pole], filtered)
        output[:] = filtered
    return outputs


def delay_samples(centres_hz: NDArray[np.float64], sample_rate_hz: int) -> NDArray[np.int64]:
    """Return the group delay of each filter at its centre frequency, in samples.

    The result has the shape (channels,).
    """
    decay = _decay(centres_hz, sample_rate_hz)
    return np.rint(ORDER * decay / (1 - decay)).astype(int)


def _decay(centres_hz: NDArray[np.float64], sample_rate_hz: int) -> NDArray[np.float64]:
    """Return the factor by which the state of each filter decays per sample.

    The result has the shape (channels,).
    """
    return np.exp(-2 * np.pi * 1.019 * erb_hz(centres_hz) / sample_rate_hz)
