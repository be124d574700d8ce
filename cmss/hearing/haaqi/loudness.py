"""Loudness: audible segments, and differences between the long-term spectra of two signals.

Kates and Arehart (2014), J. Audio Eng. Soc. 62(3), section 2, after Moore and Tan (2004),
J. Audio Eng. Soc. 52(9).
"""

import numpy as np
from numpy.typing import NDArray

from cmss.hearing.haaqi.filterbank import BANDS, Array, HearingLoss


def sensation_level_db(rms: Array, control_rms: Array, loss: HearingLoss, level1: float) -> Array:
    """Convert RMS values of envelope and control (32,) to dB above the impaired threshold (32,)."""
    control_db = np.maximum(np.minimum(_level_db(control_rms, level1), 100.0), loss.knee_db)
    slope = 1 - 1 / loss.compression_ratio
    gain_db = -loss.outer_attenuation_db - (control_db - loss.knee_db) * slope
    sensation_db = np.maximum(_level_db(rms, level1), 0.0) + gain_db - loss.inner_attenuation_db
    return np.maximum(sensation_db, 0.0)


def _level_db(rms: Array, level1: float) -> Array:
    return level1 + 20 * np.log10(np.maximum(rms, 1e-30))


def audible_segments(reference_db: Array, threshold_db: float) -> NDArray[np.bool_]:
    """Mark the segments whose mean loudness over the bands exceeds the threshold, (segments,).

    Args:
        reference_db: (32, segments), levels of the reference.
        threshold_db: in dB above the hearing threshold.
    """
    loudness_db = 20 * np.log10(np.sum(10 ** (reference_db / 20), axis=0) / BANDS)
    audible: NDArray[np.bool_] = loudness_db > threshold_db
    return audible


def spectral_differences(reference_db: Array, processed_db: Array) -> tuple[float, float]:
    """Return the spread over bands of the difference in specific loudness, absolute and relative.

    Both spectra (32,) are first scaled to the same total loudness, so only their shape counts. The
    spread is the standard deviation over the bands, times the number of bands.
    """
    reference, processed = 10 ** (reference_db / 20), 10 ** (processed_db / 20)
    reference, processed = reference / reference.sum(), processed / processed.sum()
    difference = reference - processed
    relative = difference / (reference + processed)
    return BANDS * float(np.std(difference)), BANDS * float(np.std(relative))
