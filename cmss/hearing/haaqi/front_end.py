"""Processes signals before the cochlea: resampling, alignment, NAL-R and the middle ear."""

import numpy as np
from clarity.enhancer.nalr import NALR
from clarity.utils.audiogram import Audiogram
from scipy.signal import butter, cheby2, correlate, lfilter, resample_poly

from cmss.hearing.haaqi.filterbank import AUDIOMETRIC_FREQUENCIES_HZ, MODEL_RATE_HZ, Array

DISPERSION = 2 * MODEL_RATE_HZ // 1000
"""Difference in samples between the estimated delay and the shift of the broadband alignment, 2 ms.

The smaller shift allows for the dispersion of a hearing aid.
"""


def at_model_rate(signal: Array, sample_rate_hz: float) -> Array:
    """Resample a signal (samples,) to 24 kHz without changing the level of the signal.

    Like the original program, this function rounds sampling rates to kHz, so 44.1 kHz becomes 44
    kHz. If the sampling rate is higher than 24 kHz, the RMS of the components below 10.5 kHz does
    not change. If the sampling rate is lower, the RMS of the complete signal does not change.
    Silence stays silence, whereas pyclarity divides 0 by 0.
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
    """Return the delay in samples of `processed` relative to `reference`, minus `DISPERSION`.

    The delay is the lag with the largest absolute cross-covariance of the two signals. Both signals
    must have the same length.
    """
    covariance = correlate(reference - reference.mean(), processed - processed.mean(), "full")
    late = len(reference) - int(np.argmax(np.abs(covariance))) - 1
    return late - DISPERSION


def advance(signal: Array, delay: int) -> None:
    """Shift a signal (samples,) in place by `delay` samples towards the start.

    If `delay` is negative, the signal is shifted towards the end. Zeros fill the other side.
    """
    kept = max(len(signal) - abs(delay), 0)
    if delay >= 0:
        signal[:kept] = signal[len(signal) - kept :]
        signal[kept:] = 0.0
    else:
        signal[len(signal) - kept :] = signal[:kept]
        signal[: len(signal) - kept] = 0.0


def audible_part(reference: Array) -> slice | None:
    """Return the slice from the first to the last sample above 0.001 times the peak.

    Returns:
        The slice, or None if all samples are zero.
    """
    magnitude = np.abs(reference)
    above = np.flatnonzero(magnitude > 0.001 * magnitude.max(initial=0.0))
    return slice(int(above[0]), int(above[-1]) + 1) if above.size else None


def with_nalr(signal: Array, levels_db: Array) -> Array:
    """Amplify a signal by NAL-R for the hearing levels `levels_db` (6,)."""
    order = 140
    filters = NALR(order, MODEL_RATE_HZ)
    audiogram = Audiogram(levels=levels_db, frequencies=AUDIOMETRIC_FREQUENCIES_HZ)
    response, _ = filters.build(audiogram)
    # The delay of the filter is half of its order. However, the original program removes a number
    # of samples that equals the order.
    return filters.apply(response, signal)[order : order + len(signal)]


MIDDLE_EAR = (
    butter(1, 5000 / (MODEL_RATE_HZ / 2)),
    butter(2, 350 / (MODEL_RATE_HZ / 2), "high"),
)
"""Numerators and denominators of the first-order low-pass and the second-order high-pass filter."""


def middle_ear(signal: Array) -> Array:
    """Apply the filters of the middle ear (Kates 1991, JASA 89).

    The filters approximate the equal-loudness contour at the hearing threshold.
    """
    for numerator, denominator in MIDDLE_EAR:
        signal = lfilter(numerator, denominator, signal)
    return signal
