"""Processing before the cochlea: resampling, broadband alignment, NAL-R and middle ear."""

import numpy as np
from clarity.enhancer.nalr import NALR
from clarity.utils.audiogram import Audiogram
from scipy.signal import butter, cheby2, correlate, lfilter, resample_poly

from cmss.hearing.haaqi.filterbank import AUDIOMETRIC_FREQUENCIES_HZ, MODEL_RATE_HZ, Array

DISPERSION = 2 * MODEL_RATE_HZ // 1000
"""Samples by which broadband alignment stays early, 2 ms, to allow for a hearing aid's
dispersion."""


def at_model_rate(signal: Array, sample_rate_hz: float) -> Array:
    """Resample (samples,) to 24 kHz and keep its level.

    As in the original program, rates are rounded to kHz: 44.1 kHz becomes 44 kHz. When resampling
    from above 24 kHz, the level below 10.5 kHz is kept. Silence stays silence (pyclarity divides 0
    by 0).
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
    """Return the samples by which `processed` is late, less 2 ms for a hearing aid's dispersion.

    The delay is that of the largest absolute cross-covariance of the two signals, which have equal
    length.
    """
    covariance = correlate(reference - reference.mean(), processed - processed.mean(), "full")
    late = len(reference) - int(np.argmax(np.abs(covariance))) - 1
    return late - DISPERSION


def advance(signal: Array, delay: int) -> None:
    """Shift (samples,) in place towards its start, or towards its end if the delay is negative.

    Samples shifted in are zero.
    """
    kept = max(len(signal) - abs(delay), 0)
    if delay >= 0:
        signal[:kept] = signal[len(signal) - kept :]
        signal[kept:] = 0.0
    else:
        signal[len(signal) - kept :] = signal[:kept]
        signal[: len(signal) - kept] = 0.0


def audible_part(reference: Array) -> slice | None:
    """Return the slice from the first to the last sample above 0.001 of the peak.

    None if all samples are zero.
    """
    magnitude = np.abs(reference)
    above = np.flatnonzero(magnitude > 0.001 * magnitude.max(initial=0.0))
    return slice(int(above[0]), int(above[-1]) + 1) if above.size else None


def with_nalr(signal: Array, levels_db: Array) -> Array:
    """Amplify by NAL-R for the hearing levels `levels_db` at the audiometric frequencies."""
    order = 140
    filters = NALR(order, MODEL_RATE_HZ)
    audiogram = Audiogram(levels=levels_db, frequencies=AUDIOMETRIC_FREQUENCIES_HZ)
    response, _ = filters.build(audiogram)
    # The delay of the filter is half its order. The original program removes the full order.
    return filters.apply(response, signal)[order : order + len(signal)]


MIDDLE_EAR = (
    butter(1, 5000 / (MODEL_RATE_HZ / 2)),
    butter(2, 350 / (MODEL_RATE_HZ / 2), "high"),
)
"""Numerators and denominators of the first-order low-pass and the second-order high-pass."""


def middle_ear(signal: Array) -> Array:
    """Apply the middle-ear filters, an approximate equal-loudness contour at threshold.

    Kates (1991), J. Acoust. Soc. Am. 89.
    """
    for numerator, denominator in MIDDLE_EAR:
        signal = lfilter(numerator, denominator, signal)
    return signal
