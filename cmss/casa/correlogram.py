"""Computes the correlogram, which measures the periodicity of each channel in each frame."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft


def correlogram(
    rates: NDArray[np.floating], window: int, hop: int, lags: int
) -> NDArray[np.float32]:
    """Compute the autocorrelation of windowed frames of each channel.

    A[c, t, lag] is the sum over n of x[n] x[n + lag], where x is frame t of channel c times a Hann
    window. The sum is divided by the autocorrelation of the window, so that the expected value of
    the quotient does not decrease with the lag.

    Args:
        rates: firing rates, an array of shape (channels, samples); the mean of each frame is
            subtracted first.
        window: number of samples in a frame, at least twice `lags`.
        hop: number of samples between the centres of consecutive frames; the first frame is centred
            on sample 0.
        lags: number of lags; the first lag is 0.

    Returns:
        The correlogram, an array of shape (channels, 1 + samples // hop, lags).
    """
    if window < 2 * lags:
        raise ValueError(f"window must be at least twice the lags, {2 * lags}, not {window}")
    size = next_fast_len(window + lags, real=True)
    # The Hann window is sampled with an offset of half a sample, so that no value is zero.
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
    """Compute the correlation of the autocorrelations of each pair of time-frequency units.

    Args:
        correlations: autocorrelations of the first unit of each pair, an array of shape (channels,
            frames, lags).
        others: autocorrelations of the second unit of each pair, an array of shape (channels,
            frames, lags). The second unit is for example the unit of the next channel or of the
            next frame.

    Returns:
        Correlation coefficients from -1 to 1, an array of shape (channels, frames). The coefficient
        is 0 if one of the two autocorrelations is constant.
    """
    product, power, other = (
        # The means are subtracted from the sums, not from the correlograms, because copies of the
        # correlograms would need much memory.
        np.einsum("cfl,cfl->cf", a, b) - a.shape[-1] * a.mean(-1) * b.mean(-1)
        for a, b in ((correlations, others), (correlations, correlations), (others, others))
    )
    scale = np.sqrt(np.maximum(power, 0) * np.maximum(other, 0))
    return np.divide(product, scale, out=np.zeros_like(product), where=scale > 0).clip(-1, 1)
