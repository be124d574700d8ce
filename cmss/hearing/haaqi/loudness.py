"""Finds audible segments, and computes differences in loudness between long-term spectra.

The method is that of Kates and Arehart (2014), JAES 62(3), section 2. Their method is based on the
method of Moore and Tan (2004), JAES 52(9).
"""

import numpy as np
from numpy.typing import NDArray

from cmss.hearing.haaqi.filterbank import BANDS, Array, HearingLoss


def sensation_level_db(rms: Array, control_rms: Array, loss: HearingLoss, level1: float) -> Array:
    """Compute the long-term level of each band in dB above the impaired ear's threshold.

    The result has the shape (32,).

    Args:
        rms: RMS of the envelope in each band, an array of shape (32,).
        control_rms: RMS of the control path in each band, an array of shape (32,).
        loss: hearing loss of the ear.
        level1: level in dB SPL of a signal whose root mean square is 1.
    """
    control_db = np.maximum(np.minimum(_level_db(control_rms, level1), 100.0), loss.knee_db)
    slope = 1 - 1 / loss.compression_ratio
    gain_db = -loss.outer_attenuation_db - (control_db - loss.knee_db) * slope
    sensation_db = np.maximum(_level_db(rms, level1), 0.0) + gain_db - loss.inner_attenuation_db
    return np.maximum(sensation_db, 0.0)


def _level_db(rms: Array, level1: float) -> Array:
    return level1 + 20 * np.log10(np.maximum(rms, 1e-30))


def audible_segments(reference_db: Array, threshold_db: float) -> NDArray[np.bool_]:
    """Find the segments in which the mean loudness over the bands exceeds a level.

    Args:
        reference_db: levels of the reference, an array of shape (32, segments).
        threshold_db: level in dB above the hearing threshold.

    Returns:
        A bool array of shape (segments,), which is true for segments that exceed the level.
    """
    loudness_db = 20 * np.log10(np.sum(10 ** (reference_db / 20), axis=0) / BANDS)
    audible: NDArray[np.bool_] = loudness_db > threshold_db
    return audible


def spectral_differences(reference_db: Array, processed_db: Array) -> tuple[float, float]:
    """Compute two measures of the difference in shape between two long-term spectra.

    Both spectra (32,) are converted to specific loudness and scaled to the same total loudness, so
    that only the shape of the spectra matters. Then two quantities are computed in each band: the
    difference between the two spectra, and the relative difference. The relative difference is the
    difference divided by the sum of both spectra.

    Returns:
        The standard deviation of the difference over the bands, and the standard deviation of the
        relative difference over the bands. Both are multiplied by the number of bands.
    """
    reference, processed = 10 ** (reference_db / 20), 10 ** (processed_db / 20)
    reference, processed = reference / reference.sum(), processed / processed.sum()
    difference = reference - processed
    relative = difference / (reference + processed)
    return BANDS * float(np.std(difference)), BANDS * float(np.std(relative))
