"""Correlogram: periodicity of the firing rate in each channel, frame by frame."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft


def correlogram(
    rates: NDArray[np.floating], window: int, hop: int, lags: int
) -> NDArray[np.float32]:
    """Compute the autocorrelation of windowed frames of each channel.

    A[c, t, lag] is the sum over n of x[n] x[n + lag] in frame t with a Hann window, divided by the
    autocorrelation of the window. So its expected value does not decrease with the lag.

    Args:
        rates: (channels, samples); the mean of each frame is subtracted first.
        window: samples in a frame, at least twice `lags`.
        hop: samples from one frame to the next; the first is centred on sample 0.
        lags: number of lags, from 0.

    Returns:
        (channels, frames, lags), frames = 1 + samples // hop.
    """
    if window < 2 * lags:
        raise ValueError(f"window must be at least twice the lags, {2 * lags}, not {window}")
    size = next_fast_len(window + lags, real=True)
    # Sampled half a sample off the periodic Hann window, so that no sample is zero.
    taper = np.sin(np.pi * (np.arange(window) + 0.5) / window) ** 2
    bias = irfft(np.abs(rfft(taper, size)) ** 2, size)[:lags]
    half = window // 2
    frames = 1 + rates.shape[1] // hop
    result = np.empty((len(rates), frames, lags), np.float32)
    for channel, signal in enumerate(rates):
        padded = np.pad(signal, (half, window))
        cut = np.lib.stride_tricks.sliding_window_view(padded, window)[: frames * hop : hop]
        mean = cut @ taper / taper.sum()
        spectrum = rfft((cut - mean[:, None]) * taper, size)
        result[channel] = irfft(np.abs(spectrum) ** 2, size)[:, :lags] / bias
    return result


def similarity(
    correlations: NDArray[np.floating], others: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Correlate the autocorrelations of units with those of other units, from -1 to 1.

    Args:
        correlations: (channels, frames, lags).
        others: (channels, frames, lags), for example of the channels above or of the next frames.

    Returns:
        (channels, frames); 0 where either autocorrelation is constant.
    """
    product, power, other = (
        # Means are subtracted from the sums: subtracting them from the correlograms would copy the
        # largest arrays of all.
        np.einsum("cfl,cfl->cf", a, b) - a.shape[-1] * a.mean(-1) * b.mean(-1)
        for a, b in ((correlations, others), (correlations, correlations), (others, others))
    )
    scale = np.sqrt(np.maximum(power, 0) * np.maximum(other, 0))
    return np.divide(product, scale, out=np.zeros_like(product), where=scale > 0).clip(-1, 1)
