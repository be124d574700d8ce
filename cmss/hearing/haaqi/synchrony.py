"""Computes the basilar-membrane synchrony, the similarity of two signals' temporal fine structure.

The method is that of Kates and Arehart (2016), "The Hearing-Aid Audio Quality Index (HAAQI)",
IEEE/ACM TASLP 24(2), section II.
"""

import numpy as np

from cmss.hearing.haaqi.filterbank import CENTER_FREQUENCIES_HZ, MODEL_RATE_HZ, Array
from cmss.hearing.haaqi.loudness import audible_segments
from cmss.machine.compiled import compiled

SEGMENT = 16 * MODEL_RATE_HZ // 1000
"""Length of a segment in samples, 16 ms; consecutive segments overlap by half."""

MAX_LAG = MODEL_RATE_HZ // 1000
"""Largest lag in samples between the motions of both signals in a segment, 1 ms."""

WINDOW = np.hanning(SEGMENT)


def _lag_weights(window: Array) -> Array:
    """Return the reciprocal of the window's autocorrelation at each lag.

    The result has the shape (2 MAX_LAG + 1,).

    At larger lags, the segments of both signals overlap less. The reciprocals are weights that
    compensate for the shorter overlap, so that the covariance is unbiased.
    """
    middle = len(window) - 1
    return 1.0 / np.correlate(window, window, "full")[middle - MAX_LAG : middle + MAX_LAG + 1]


FULL_WEIGHTS = _lag_weights(WINDOW)
HALF_WEIGHTS = _lag_weights(WINDOW[SEGMENT // 2 :])


def segment_count(samples: int, segment: int) -> int:
    """Return the number of segments of a signal.

    Segments overlap by half. The first and the last segment have half the length of the other
    segments.
    """
    return int(1 + samples // segment + (samples - segment / 2) // segment)


def motion_level_db(motion: Array) -> Array:
    """Return the level of a band's motion in each segment, in dB above the hearing threshold.

    The result has the shape (segments,).

    The amplitude of the motion is the envelope in dB. Therefore, the root mean square of the motion
    is a level in dB.
    """
    levels = np.empty(segment_count(len(motion), SEGMENT))
    _segment_levels(motion, WINDOW, levels)
    return levels


def covariances(reference: Array, processed: Array, wanted: Array) -> Array:
    """Compute the largest normalised cross-covariance at lags up to 1 ms in each segment.

    Args:
        reference, processed: motion of a band in both signals, two arrays of shape (samples,).
        wanted: segments whose covariance is computed, a bool array of shape (segments,).

    Returns:
        Covariances from 0 to 1, an array of shape (segments,). The array contains 0 where `wanted`
        is false.
    """
    output = np.zeros(len(wanted))
    _segment_covariances(reference, processed, wanted, WINDOW, FULL_WEIGHTS, HALF_WEIGHTS, output)
    return output


def _synchronisation_weights() -> Array:
    """Return the weight of each band, an array of shape (32,).

    In the auditory nerve, phase locking decreases with frequency. The weight represents this
    decrease. The weight is the magnitude response of a fifth-order low-pass filter at 3.5 kHz
    (Johnson 1980, JASA 68).
    """
    return np.sqrt(1.0 / (1.0 + (CENTER_FREQUENCIES_HZ / 3500.0) ** 10))


def basilar_membrane_synchrony(covariance: Array, level_db: Array, threshold_db: float) -> float:
    """Average the covariance over the audible segments of all bands.

    The covariance is weighted by `_synchronisation_weights`.

    Args:
        covariance: covariance between the motions of both signals, an array of shape (32,
            segments).
        level_db: level of the reference's motion, an array of shape (32, segments).
        threshold_db: level above which the motion counts as audible. A segment is ignored in a band
            if the level in this band does not exceed `threshold_db`. A segment is ignored in all
            bands if the mean loudness over the bands does not exceed `threshold_db`.
    """
    segments = audible_segments(level_db, threshold_db)
    if np.count_nonzero(segments) <= 1:
        return 0.0
    audible = (level_db > threshold_db) & segments
    weights = audible * _synchronisation_weights()[:, None]
    return float(np.sum(weights * covariance) / np.sum(weights))


# Allow the compiler to reorder sums, so that it can use vector instructions.
_SUMS = {"reassoc", "contract", "nsz"}


@compiled(error_model="numpy", fastmath=_SUMS, forceinline=True)
def _cut(motion: Array, window: Array, segment: int, piece: Array) -> float:
    """Multiply a segment by the window, subtract the mean, and return the mean square.

    The segment is written into `piece`. The first segment is multiplied only by the falling half of
    the window, and the last segment only by the rising half.
    """
    weights = window[: piece.size]
    if segment == 0:
        weights = window[window.size - piece.size :]
    start = segment * (window.size // 2)
    values = motion[start : start + piece.size]
    total = energy = square = 0.0
    for n in range(piece.size):
        piece[n] = values[n] * weights[n]
        total += piece[n]
        energy += weights[n] * weights[n]
    mean = total / piece.size
    for n in range(piece.size):
        piece[n] -= mean
        square += piece[n] * piece[n]
    return square / energy


@compiled(error_model="numpy")
def _segment_levels(motion: Array, window: Array, levels: Array) -> None:
    """Fill `levels` (segments,) with the root mean square of each segment, times sqrt(2)."""
    full, half = np.empty(len(window)), np.empty(len(window) // 2)
    for segment in range(levels.size):
        piece = half if segment == 0 or segment == levels.size - 1 else full
        levels[segment] = np.sqrt(2.0 * _cut(motion, window, segment, piece))


@compiled(error_model="numpy", fastmath=_SUMS, forceinline=True)
def _largest_covariance(x: Array, y: Array, weights: Array) -> float:
    """Return the largest value over all lags of weight[lag] * |sum over n of x[n + lag] * y[n]|."""
    max_lag = len(weights) // 2
    largest = 0.0
    for lag in range(-max_lag, max_lag + 1):
        total = 0.0
        left, right = x[max(lag, 0) :], y[max(-lag, 0) :]
        for n in range(min(left.size, right.size)):
            total += left[n] * right[n]
        largest = max(largest, abs(total * weights[lag + max_lag]))
    return largest


@compiled(error_model="numpy")
def _segment_covariances(
    reference: Array,
    processed: Array,
    wanted: Array,
    window: Array,
    full_weights: Array,
    half_weights: Array,
    output: Array,
) -> None:
    """Fill `output` (segments,) with the covariance of each wanted segment."""
    segments = wanted.size
    full_x, full_y = np.empty(len(window)), np.empty(len(window))
    half_x, half_y = np.empty(len(window) // 2), np.empty(len(window) // 2)
    for segment in range(segments):
        if not wanted[segment]:
            continue
        x, y, weights = full_x, full_y, full_weights
        if segment == 0 or segment == segments - 1:
            x, y, weights = half_x, half_y, half_weights
        x_square = _cut(reference, window, segment, x)
        y_square = _cut(processed, window, segment, y)
        if x_square > 1e-30 and y_square > 1e-30:
            covariance = _largest_covariance(x, y, weights) / np.sqrt(x_square * y_square)
            output[segment] = min(covariance, 1.0)
