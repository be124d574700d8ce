"""Basilar-membrane synchrony: does the fine structure of each band still follow the reference?

Kates and Arehart (2016), "The Hearing-Aid Audio Quality Index (HAAQI)", IEEE/ACM Trans. Audio,
Speech, Lang. Process. 24(2), section II.
"""

import numpy as np

from cmss.compiled import compiled
from cmss.haaqi.filterbank import BANDS, CENTER_FREQUENCIES_HZ, MODEL_RATE_HZ, Array

SEGMENT = 16 * MODEL_RATE_HZ // 1000
"""Samples of a segment, 16 ms; segments overlap by half."""

MAX_LAG = MODEL_RATE_HZ // 1000
"""Samples by which the motions of a segment may differ in time, 1 ms."""

WINDOW = np.hanning(SEGMENT)


def _lag_weights(window: Array) -> Array:
    """(2 MAX_LAG + 1,) inverse autocorrelation of the window: makes the covariance unbiased."""
    middle = len(window) - 1
    return 1.0 / np.correlate(window, window, "full")[middle - MAX_LAG : middle + MAX_LAG + 1]


WHOLE_WEIGHTS = _lag_weights(WINDOW)
HALF_WEIGHTS = _lag_weights(WINDOW[SEGMENT // 2 :])


def segment_count(samples: int, segment: int) -> int:
    """Number of segments of half overlap; the first and the last are half ones."""
    return int(1 + samples // segment + (samples - segment / 2) // segment)


def motion_level_db(motion: Array) -> Array:
    """Level above threshold (segments,) of the reference's motion (samples,) in one band.

    The motion carries dB as its amplitude, hence its root mean square is a level.
    """
    levels = np.empty(segment_count(len(motion), SEGMENT))
    _segment_levels(motion, WINDOW, levels)
    return levels


def covariances(reference: Array, processed: Array, wanted: Array) -> Array:
    """Largest normalised cross-covariance within 1 ms, (segments,), each between 0 and 1.

    Args:
        reference, processed: (samples,) motion of one band.
        wanted: (segments,) bool; the others are left at 0.
    """
    output = np.zeros(len(wanted))
    _segment_covariances(reference, processed, wanted, WINDOW, WHOLE_WEIGHTS, HALF_WEIGHTS, output)
    return output


def synchronisation_weights() -> Array:
    """Loss of the nerve's phase locking towards high frequencies, (32,): fifth order, 3.5 kHz.

    Johnson (1980), J. Acoust. Soc. Am. 68.
    """
    return np.sqrt(1.0 / (1.0 + (CENTER_FREQUENCIES_HZ / 3500.0) ** 10))


def basilar_membrane_synchrony(covariance: Array, level_db: Array, threshold_db: float) -> float:
    """Mean covariance over the audible tiles, weighted by how far the nerve can follow.

    Args:
        covariance: (32, segments).
        level_db: (32, segments) of the reference.
        threshold_db: tiles at or below it, and segments whose mean loudness is, do not count.
    """
    segments = 20 * np.log10(np.sum(10 ** (level_db / 20), axis=0) / BANDS) > threshold_db
    if np.count_nonzero(segments) <= 1:
        return 0.0
    audible = (level_db > threshold_db) & segments
    weights = audible * synchronisation_weights()[:, None]
    return float(np.sum(weights * covariance) / np.sum(weights))


# Sums may be reordered, which lets the compiler use vector instructions.
_SUMS = {"reassoc", "contract", "nsz"}


@compiled(error_model="numpy", fastmath=_SUMS)
def _cut(motion: Array, window: Array, segment: int, piece: Array) -> float:
    """Window a segment into `piece`, remove its mean, and return its mean square.

    The first segment has the falling half of the window, the last one the rising half.
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
    whole, half = np.empty(len(window)), np.empty(len(window) // 2)
    for segment in range(levels.size):
        piece = half if segment == 0 or segment == levels.size - 1 else whole
        levels[segment] = np.sqrt(2.0 * _cut(motion, window, segment, piece))


@compiled(error_model="numpy", fastmath=_SUMS)
def _largest_covariance(x: Array, y: Array, weights: Array) -> float:
    """Largest |sum over n of x[n + lag] y[n]| times the weight of the lag."""
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
    whole_weights: Array,
    half_weights: Array,
    output: Array,
) -> None:
    segments = wanted.size
    whole_x, whole_y = np.empty(len(window)), np.empty(len(window))
    half_x, half_y = np.empty(len(window) // 2), np.empty(len(window) // 2)
    for segment in range(segments):
        if not wanted[segment]:
            continue
        x, y, weights = whole_x, whole_y, whole_weights
        if segment == 0 or segment == segments - 1:
            x, y, weights = half_x, half_y, half_weights
        x_square = _cut(reference, window, segment, x)
        y_square = _cut(processed, window, segment, y)
        if x_square > 1e-30 and y_square > 1e-30:
            covariance = _largest_covariance(x, y, weights) / np.sqrt(x_square * y_square)
            output[segment] = min(covariance, 1.0)
