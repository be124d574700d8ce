"""Estimates delays of up to 100 ms between a processed band and the reference band.

The delay is the lag with the largest cross-correlation. For each band, pyclarity correlates the
envelopes of both signals, and the motions of both signals, at all lags. In pyclarity, the
correlations take a fifth of the total computing time. This module computes only the correlations at
lags within 100 ms, in single precision. Then the module computes a few of these correlations again
in double precision: the correlations that differ from the maximum by no more than the rounding
error.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from cmss.hearing.haaqi.filterbank import MODEL_RATE_HZ, Array
from cmss.machine.compiled import compiled

LAGS = MODEL_RATE_HZ // 10
"""Largest delay in samples that can be estimated, 100 ms."""


class Aligner:
    """Estimates the delays between processed signals and a reference.

    All signals have the same length. The reference is cut into blocks. Each block is correlated, by
    means of the FFT, with a section of the processed signal. The section begins 100 ms before the
    block and ends 100 ms after the block. The cross-spectra of all blocks are summed before the
    inverse FFT. The means of the signals are subtracted before the FFT, and the contribution of the
    means to the correlation is added afterwards. If the means were not subtracted, the variation of
    an envelope would be lost in single precision, because the mean of the envelope is much larger
    than the variation.
    """

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._lags = min(LAGS, samples)
        self._block = min(32768, next_fast_len(samples + 2 * self._lags, real=True))
        self._step = self._block - 2 * self._lags
        blocks = -(-samples // self._step)
        # These arrays contain the blocks of the reference, and the processed signal with zeros for
        # the largest delay at both ends.
        self._pieces = np.zeros((blocks, self._block), np.float32)
        self._padded = np.zeros(blocks * self._step + 2 * self._lags, np.float32)

    def set_reference(self, reference: Array) -> None:
        """Set the reference (samples,), which must not change until the last call of `delay`."""
        self._reference = reference
        self._mean = reference.mean()
        self._norm = _fill_pieces(reference, self._mean, self._step, self._pieces)
        self._spectra = rfft(self._pieces)

    def delay(self, processed: Array) -> int:
        """Return the delay in samples of `processed`, from -100 ms to just below 100 ms.

        Several lags may have the same largest correlation, for example in silence. In this case,
        this method and pyclarity return the largest of these lags.
        """
        mean = processed.mean()
        norm = _fill_pieces(processed, mean, self._samples, self._padded[None, self._lags :])
        if not norm and not mean:
            return self._lags - 1
        # These are views of the padded signal, (start, samples of a block). Only every `step`-th
        # view is used.
        stretches = np.lib.stride_tricks.sliding_window_view(self._padded, self._block)
        spectrum = _cross_spectrum(self._spectra, rfft(stretches[:: self._step]))
        correlation = irfft(spectrum, self._block)[: 2 * self._lags]  # (2 lags,)
        correlation = correlation + self._correlation_of_means(processed, mean)
        # In single precision, the observed errors are at most 1e-7 times the product of the norms;
        # 1e-6 is a safe bound. The maximum may be at any lag whose correlation is less than the
        # largest correlation by at most twice this bound.
        undecided = correlation >= correlation.max() - 2 * 1e-6 * self._norm * norm
        delays = np.flatnonzero(undecided) - self._lags
        if len(delays) > 1:
            exact = _correlations(self._reference, processed, delays)
            return int(delays[len(delays) - 1 - np.argmax(exact[::-1])])
        return int(delays[0])

    def _correlation_of_means(self, processed: Array, mean: float) -> Array:
        """Return the contribution of the means to the correlation at all delays below 100 ms."""
        overlap = self._samples - np.abs(np.arange(-self._lags, self._lags))
        # A signal minus its mean sums to zero, so its sum over the overlap of both signals is minus
        # its sum outside of the overlap. At positive delays, the end of the reference and the start
        # of the processed signal are outside of the overlap; at negative delays, the start of the
        # reference and the end of the processed signal.
        x_head, x_tail = _end_sums(self._reference, self._mean, self._lags)
        y_head, y_tail = _end_sums(processed, mean, self._lags)
        x_sum = -np.concatenate((x_head[:0:-1], x_tail[:-1]))
        y_sum = -np.concatenate((y_tail[:0:-1], y_head[:-1]))
        return self._mean * y_sum + mean * (x_sum + self._mean * overlap)


def _end_sums(signal: Array, mean: float, longest: int) -> tuple[Array, Array]:
    """Subtract the mean, and return cumulative sums from the start and from the end.

    Returns:
        Sums of the first n samples and sums of the last n samples for n from 0 to `longest`, two
        arrays of shape (longest + 1,).
    """
    zero = np.zeros(1)
    head, tail = signal[:longest] - mean, signal[::-1][:longest] - mean
    return np.concatenate((zero, np.cumsum(head))), np.concatenate((zero, np.cumsum(tail)))


@compiled(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _fill_pieces(signal: Array, mean: float, length: int, pieces: NDArray[np.float32]) -> float:
    """Fill `pieces` with a signal minus its mean, and return the norm of this difference.

    The first `length` samples of each row of `pieces` are filled.
    """
    square = 0.0
    for row in range(pieces.shape[0]):
        values = signal[row * length : (row + 1) * length]
        piece = pieces[row]
        for n in range(values.size):
            difference = values[n] - mean
            square += difference * difference
            piece[n] = difference
    return np.sqrt(square)


@compiled(error_model="numpy", fastmath={"contract"})
def _cross_spectrum(
    reference: NDArray[np.complex64], processed: NDArray[np.complex64]
) -> NDArray[np.complex64]:
    """Return the cross-spectrum: the sum, over the blocks, of conj(`reference`) * `processed`.

    The result has the shape (frequencies,).
    """
    total = np.zeros(reference.shape[1], np.complex64)
    for block in range(reference.shape[0]):
        x, y = reference[block], processed[block]
        for n in range(total.size):
            total[n] += np.conj(x[n]) * y[n]
    return total


@compiled(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _correlations(reference: Array, processed: Array, delays: NDArray[np.int64]) -> Array:
    """Return the sum of reference[n] * processed[n + delay] over n for each delay."""
    sums = np.zeros(delays.size)
    chunk = 1024  # so that the samples stay in the fastest cache
    for start in range(0, reference.size, chunk):
        for i in range(delays.size):
            first = max(start, -delays[i])
            x = reference[first : start + chunk]
            y = processed[first + delays[i] :]
            total = 0.0
            for n in range(min(x.size, y.size)):
                total += x[n] * y[n]
            sums[i] += total
    return sums
