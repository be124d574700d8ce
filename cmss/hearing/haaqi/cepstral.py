"""Cepstral correlation: similarity of the modulations of the spectral shape to the reference's.

Kates and Arehart (2016), IEEE/ACM Trans. Audio, Speech, Lang. Process. 24(2), section II; the
modulation filters are those of Kates and Arehart (2015), J. Acoust. Soc. Am. 138.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin

from cmss.hearing.haaqi.filterbank import BANDS, MODEL_RATE_HZ, Array
from cmss.machine.compiled import compiled

SMOOTHING = 8 * MODEL_RATE_HZ // 1000
"""Length in samples of the raised cosine, 8 ms, that smooths an envelope before it is sampled every
4 ms."""

WINDOW = np.hanning(SMOOTHING)
_ENVELOPE_RATE_HZ = 250.0
_COEFFICIENTS = 6
_MODULATION_EDGES_HZ = (20.0, 32.0, 50.0, 80.0)
_MODULATION_TAPS = 129


def smoothed(envelope_db: Array, segments: int) -> Array:
    """Average an envelope (samples,) with windows that overlap by half: (segments,)."""
    output = np.empty(segments)
    _smooth(envelope_db, WINDOW, output)
    return output


@compiled(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _smooth(envelope: Array, window: Array, output: Array) -> None:
    half = len(window) // 2
    for segment in range(output.size):
        weights = window
        if segment == 0:
            weights = window[half:]
        elif segment == output.size - 1:
            weights = window[:half]
        values = envelope[segment * half : segment * half + weights.size]
        total = sum_of_weights = 0.0
        for n in range(weights.size):
            total += weights[n] * values[n]
            sum_of_weights += weights[n]
        output[segment] = total / sum_of_weights


def _modulation_filters() -> Array:
    """Return the impulse responses (4, taps) for 20-32, 32-50, 50-80 and above 80 Hz."""
    edges = np.array(_MODULATION_EDGES_HZ) / (_ENVELOPE_RATE_HZ / 2)
    passes = [
        firwin(_MODULATION_TAPS, [low, high], window="hann", pass_zero="bandpass")
        for low, high in pairwise(edges)
    ]
    high = firwin(_MODULATION_TAPS, edges[-1], window="hann", pass_zero="highpass")
    return np.array([*passes, high])


MODULATION_FILTERS = _modulation_filters()


def _cepstral_basis() -> Array:
    """Return the half-cosine basis over the bands, (32, 5), without the constant function."""
    phases = np.arange(BANDS)[:, None] * np.arange(1, _COEFFICIENTS) * np.pi / (BANDS - 1)
    return np.cos(phases) / np.linalg.norm(np.cos(phases), axis=0)


CEPSTRAL_BASIS = _cepstral_basis()


def audible_segments(reference_db: Array, threshold_db: float) -> NDArray[np.bool_]:
    """Mark the segments of (32, segments) whose loudness over all bands exceeds the threshold."""
    loudness_db = 20 * np.log10(np.sum(10 ** (reference_db / 20), axis=0) / BANDS)
    audible: NDArray[np.bool_] = loudness_db > threshold_db
    return audible


def cepstral_correlation(reference_db: Array, processed_db: Array) -> float:
    """Average the correlation of the mel cepstra over the modulation bands from 20 to 125 Hz.

    Cepstral coefficients 2 to 6 are half-cosine fits to the spectrum over the auditory bands. The
    time series of each coefficient is split into four modulation bands, and each band is
    correlated with that of the reference.

    Args:
        reference_db, processed_db: (32, segments), smoothed and audible.
    """
    return _mean_correlation(_cepstrum(reference_db), _cepstrum(processed_db))


def _cepstrum(envelopes_db: Array) -> Array:
    cepstrum = np.einsum("bc,bn->cn", CEPSTRAL_BASIS, envelopes_db)
    return cepstrum - cepstrum.mean(axis=1, keepdims=True)


def _mean_correlation(reference: Array, processed: Array) -> float:
    correlations = []
    taps = (_MODULATION_TAPS - 1) // 2
    for response in MODULATION_FILTERS:
        for x, y in zip(reference, processed, strict=True):
            x, y = (np.convolve(z, response)[taps : taps + len(z)] for z in (x, y))
            x, y = x - x.mean(), y - y.mean()
            x_power, y_power = np.sum(x**2), np.sum(y**2)
            silent = x_power < 1e-30 or y_power < 1e-30
            correlations.append(0.0 if silent else abs(np.sum(x * y)) / np.sqrt(x_power * y_power))
    return float(np.mean(correlations))
