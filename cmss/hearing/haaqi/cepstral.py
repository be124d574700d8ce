"""Computes the cepstral correlation, which compares the modulations of two spectral shapes.

The method is that of Kates and Arehart (2016), IEEE/ACM TASLP 24(2), section II. The modulation
filters are those of Kates and Arehart (2015), JASA 138.
"""

import numpy as np
from scipy.signal import firwin

from cmss.hearing.haaqi.filterbank import BANDS, MODEL_RATE_HZ, Array
from cmss.machine.compiled import compiled

SMOOTHING = 8 * MODEL_RATE_HZ // 1000
"""Length in samples of the raised cosine that smooths an envelope, 8 ms.

The smoothed envelope is sampled every 4 ms.
"""

WINDOW = np.hanning(SMOOTHING)
_TAPS = 129

# The modulation bands are 20 to 32, 32 to 50, 50 to 80 and above 80 Hz. Envelopes are sampled at
# 250 Hz.
MODULATION_FILTERS = np.array(
    [
        firwin(_TAPS, np.array(edges_hz) / 125, window="hann", pass_zero=False)
        for edges_hz in ([20.0, 32.0], [32.0, 50.0], [50.0, 80.0], [80.0])
    ]
)
"""Impulse responses of the modulation filters, an array of shape (4, taps)."""

_HALF_COSINES = np.cos(np.arange(BANDS)[:, None] * np.arange(1, 6) * np.pi / (BANDS - 1))

CEPSTRAL_BASIS = _HALF_COSINES / np.linalg.norm(_HALF_COSINES, axis=0)
"""Half-cosine functions over the bands without the constant function, an array of shape (32, 5)."""


def smoothed(envelope_db: Array, segments: int) -> Array:
    """Smooth an envelope (samples,) by windows that overlap by half; the result is (segments,)."""
    output = np.empty(segments)
    _smooth(envelope_db, WINDOW, output)
    return output


@compiled(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _smooth(envelope: Array, window: Array, output: Array) -> None:
    """Fill `output` (segments,) with weighted means over a window.

    The first and the last segment have only half a window.
    """
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


def cepstral_correlation(reference_db: Array, processed_db: Array) -> float:
    """Average the correlation of the mel cepstra over the modulation bands from 20 to 125 Hz.

    Cepstral coefficients 2 to 6 are half-cosine fits to the spectrum over the auditory bands. The
    time series of each coefficient is split into four modulation bands. In each modulation band,
    the processed signal is correlated with the reference.

    Args:
        reference_db, processed_db: smoothed envelopes of both signals in the audible segments,
            arrays of shape (32, segments).
    """
    # These are the cepstra, (5, segments).
    reference = np.einsum("bc,bn->cn", CEPSTRAL_BASIS, reference_db)
    processed = np.einsum("bc,bn->cn", CEPSTRAL_BASIS, processed_db)
    reference = reference - reference.mean(axis=1, keepdims=True)
    processed = processed - processed.mean(axis=1, keepdims=True)
    delay = (_TAPS - 1) // 2
    correlations = []
    for response in MODULATION_FILTERS:
        for x, y in zip(reference, processed, strict=True):
            # x and y are a coefficient in a modulation band, (segments,).
            x, y = (np.convolve(z, response)[delay : delay + len(z)] for z in (x, y))
            x, y = x - x.mean(), y - y.mean()
            x_power, y_power = np.sum(x**2), np.sum(y**2)
            silent = x_power < 1e-30 or y_power < 1e-30
            correlations.append(0.0 if silent else abs(np.sum(x * y)) / np.sqrt(x_power * y_power))
    return float(np.mean(correlations))
