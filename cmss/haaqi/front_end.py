"""What happens to the sound before the cochlea: one rate, bulk alignment, NAL-R, middle ear."""

import numpy as np
from clarity.enhancer.nalr import NALR
from clarity.utils.audiogram import Audiogram
from scipy.signal import butter, cheby2, correlate, lfilter, resample_poly

from cmss.haaqi.filterbank import AUDIOMETRIC_FREQUENCIES_HZ, MODEL_RATE_HZ, Array

DISPERSION = 2 * MODEL_RATE_HZ // 1000
"""Samples left to a hearing aid's dispersion in bulk alignment, 2 ms."""

_NALR_TAPS = 140


def at_model_rate(signal: Array, sample_rate_hz: float) -> Array:
    """Resample (samples,) to 24 kHz and keep its level.

    As in the original, rates count in whole kHz: 44.1 kHz is taken for 44. From above 24 kHz the
    level that is kept is that below 10.5 kHz. Silence stays silence (pyclarity divides 0 by 0).
    """
    target_khz, source_khz = MODEL_RATE_HZ // 1000, round(sample_rate_hz / 1000)
    if source_khz == target_khz:
        return signal
    resampled = resample_poly(signal, target_khz, source_khz)
    before, after = signal, resampled
    if source_khz > target_khz:
        before = lfilter(*cheby2(7, 30, 21 / source_khz), signal)
        after = lfilter(*cheby2(7, 30, 21 / target_khz), resampled)
    level = _rms(after)
    return resampled if level == 0 else (_rms(before) / level) * resampled


def _rms(signal: Array) -> float:
    return float(np.sqrt(np.mean(signal**2)))


def bulk_delay(reference: Array, processed: Array) -> int:
    """Samples by which `processed` is late, less 2 ms for the dispersion of a hearing aid.

    Read off the largest absolute cross-covariance of two signals of equal length.
    """
    covariance = correlate(reference - reference.mean(), processed - processed.mean(), "full")
    late = len(reference) - int(np.argmax(np.abs(covariance))) - 1
    return late - DISPERSION


def advance(signal: Array, delay: int) -> None:
    """Move (samples,) towards its start in place, or towards its end if the delay is negative.

    What moves in is zero.
    """
    kept = max(len(signal) - abs(delay), 0)
    if delay >= 0:
        signal[:kept] = signal[len(signal) - kept :]
        signal[kept:] = 0.0
    else:
        signal[len(signal) - kept :] = signal[:kept]
        signal[: len(signal) - kept] = 0.0


def audible_part(reference: Array) -> slice | None:
    """From the first to the last sample above a thousandth of the peak; None if all are zero."""
    magnitude = np.abs(reference)
    above = np.flatnonzero(magnitude > 0.001 * magnitude.max(initial=0.0))
    return slice(int(above[0]), int(above[-1]) + 1) if above.size else None


def with_nalr(signal: Array, levels_db: Array) -> Array:
    """Linear amplification by NAL-R for the loss `levels_db` at the audiometric frequencies."""
    filters = NALR(_NALR_TAPS, MODEL_RATE_HZ)
    audiogram = Audiogram(levels=levels_db, frequencies=AUDIOMETRIC_FREQUENCIES_HZ)
    response, _ = filters.build(audiogram)
    # The original removes the order of the filter from the start, twice its delay.
    return filters.apply(response, signal)[_NALR_TAPS : _NALR_TAPS + len(signal)]


MIDDLE_EAR = (
    butter(1, 5000 / (MODEL_RATE_HZ / 2)),
    butter(2, 350 / (MODEL_RATE_HZ / 2), "high"),
)
"""Numerators and denominators of a first-order low-pass and of a second-order high-pass."""


def middle_ear(signal: Array) -> Array:
    """Roughly the equal-loudness contour at threshold; Kates (1991), J. Acoust. Soc. Am. 89."""
    for numerator, denominator in MIDDLE_EAR:
        signal = lfilter(numerator, denominator, signal)
    return signal
