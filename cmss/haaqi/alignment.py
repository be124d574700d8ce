"""Delay of a processed band against the reference's, by cross-correlation within 100 ms."""

import numpy as np
from scipy.fft import irfft, rfft

from cmss.haaqi.filterbank import MODEL_RATE_HZ, Array

_LAGS = MODEL_RATE_HZ // 10
_BLOCK = 32768


def band_delay(reference: Array, processed: Array) -> int:
    """Samples by which `processed` (samples,) is late, between -100 ms and just below 100 ms.

    Only the lags that are read are computed: the reference in blocks, each against the stretch of
    the processed signal within reach, added up in the frequency domain.
    """
    samples = len(reference)
    lags = min(_LAGS, samples)
    step = _BLOCK - 2 * lags
    blocks = -(-samples // step)
    padded = np.zeros(blocks * step + 2 * lags)
    padded[lags : lags + samples] = processed
    stretches = np.lib.stride_tricks.sliding_window_view(padded, _BLOCK)[::step]
    pieces = np.zeros((blocks, step))
    pieces.ravel()[:samples] = reference
    spectrum = np.sum(rfft(pieces, _BLOCK).conj() * rfft(stretches), axis=0)
    correlation = irfft(spectrum, _BLOCK)[: 2 * lags]  # of delays -lags to lags - 1
    # Of equal peaks the original takes the one of the smallest lag, hence the largest delay.
    return lags - 1 - int(np.argmax(correlation[::-1]))
