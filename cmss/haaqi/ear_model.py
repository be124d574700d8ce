"""The cochlea of both signals, one band at a time, down to what the index reads.

Kates and Arehart (2014), J. Audio Eng. Soc. 62(3), section 1. In each of the 32 bands: a wide
control filter sets the width of the auditory filter (from its average level) and the gain of the
outer hair cells (from its momentary level); the auditory filter's envelope and motion are
compressed by that gain; the processed signal's are aligned with the reference's; and both become
firing rates in the inner hair cells, where the threshold of hearing is a low noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter

from cmss.haaqi import kernels
from cmss.haaqi.alignment import band_delay
from cmss.haaqi.cepstral import SMOOTHING, smoothed
from cmss.haaqi.filterbank import (
    BANDS,
    CENTER_FREQUENCIES_HZ,
    CONTROL_BANDWIDTH,
    MODEL_RATE_HZ,
    Array,
    Gammatone,
    HearingLoss,
    equalising_delays,
    widened,
)
from cmss.haaqi.front_end import advanced
from cmss.haaqi.loudness import sensation_level_db
from cmss.haaqi.synchrony import SEGMENT, covariances, motion_level_db, segment_count

NOISE_DB = -10.0
"""Level of the noise that stands for the threshold of hearing, dB re that threshold."""

SILENCE_DB = 2.5
"""Tiles and segments at or below this level above threshold do not count."""

_GAIN_LOW_PASS = butter(1, 800 / (MODEL_RATE_HZ / 2))
"""First order, 800 Hz: delays the compression gain by 0.2 ms (Zhang et al. 2001)."""

_GAIN_SMOOTHING = float(_GAIN_LOW_PASS[0][0]), float(_GAIN_LOW_PASS[1][1])


@dataclass(frozen=True)
class Heard:
    """What is left of a processed signal, and of its reference, behind the ear.

    Attributes:
        reference_envelope_db, processed_envelope_db: (32, segments of 8 ms), smoothed.
        reference_spectrum_db, processed_spectrum_db: (32,) long-term level above threshold.
        motion_level_db: (32, segments of 16 ms), the reference's.
        motion_covariance: (32, segments of 16 ms), normalised; 0 where the reference is inaudible.
    """

    reference_envelope_db: Array
    processed_envelope_db: Array
    reference_spectrum_db: Array
    processed_spectrum_db: Array
    motion_level_db: Array
    motion_covariance: Array


def hear(
    reference: Array, processed: Sequence[Array], levels_db: Array, level1: float
) -> list[Heard]:
    """Pass a reference and the signals made from it through one ear.

    The noise comes from NumPy's global generator, first the reference's for all bands, then the
    processed signal's, which all processed signals share: each is heard as if it were alone.

    Args:
        reference: (samples,) at 24 kHz, behind the middle ear.
        processed: signals of the same length, aligned, behind the middle ear.
        levels_db: (6,) hearing levels at the audiometric frequencies.
        level1: dB SPL of a signal whose root mean square is 1.
    """
    samples = len(reference)
    ear = _Ear(HearingLoss.at(levels_db), level1, samples)
    noise = np.random.standard_normal((BANDS, samples))

    # The delays hang on the bandwidths of all bands, so the reference's controls come first.
    original = _Path(ear, reference)
    gain = np.empty((BANDS, samples))
    for band in range(BANDS):
        ear.tune(band)
        original.control(band, gain[band])
    delays = equalising_delays(original.bandwidth)

    copies = [_Path(ear, signal) for signal in processed]
    level_db = np.empty((BANDS, segment_count(samples, SEGMENT)))
    covariance = np.zeros((len(copies), *level_db.shape))
    for band in range(BANDS):
        ear.tune(band)
        original.compress(band, gain[band])
        # Each copy is aligned with the compressed reference before that fires.
        envelope, motion = original.envelope.copy(), original.motion.copy()
        original.fire(band, noise[band], delays[band])
        level_db[band] = motion_level_db(original.motion)
        copy_gain, copy_noise = np.empty(samples), np.random.standard_normal(samples)
        for copy, found in zip(copies, covariance, strict=True):
            copy.control(band, copy_gain)
            copy.compress(band, copy_gain)
            copy.envelope = advanced(copy.envelope, band_delay(envelope, copy.envelope))
            copy.motion = advanced(copy.motion, band_delay(motion, copy.motion))
            copy.fire(band, copy_noise, delays[band])
            audible = level_db[band] > SILENCE_DB
            found[band] = covariances(original.motion, copy.motion, audible)
    return [
        Heard(
            original.envelope_db,
            copy.envelope_db,
            original.spectrum_db(),
            copy.spectrum_db(),
            level_db,
            found,
        )
        for copy, found in zip(copies, covariance, strict=True)
    ]


class _Ear:
    """An ear with its loss, at one calibration, tuned to one band after the other."""

    def __init__(self, loss: HearingLoss, level1: float, samples: int) -> None:
        self.loss = loss
        self.level1 = level1
        self.noise_gain = 10 ** ((NOISE_DB - level1) / 20)
        self.cosine = np.empty(samples)
        self.sine = np.empty(samples)

    def tune(self, band: int) -> None:
        """Make the carrier of a band."""
        radians = 2 * np.pi / MODEL_RATE_HZ * CENTER_FREQUENCIES_HZ[band]
        kernels.demodulate(radians, self.cosine, self.sine)


class _Path:
    """One signal on its way through the ear; `envelope` and `motion` are those of one band."""

    def __init__(self, ear: _Ear, signal: Array) -> None:
        self.ear = ear
        self.signal = signal
        self.envelope = np.empty(len(signal))
        self.motion = np.empty(len(signal))
        self.rms = np.empty(BANDS)
        self.control_rms = np.empty(BANDS)
        self.bandwidth = np.empty(BANDS)
        self.envelope_db = np.empty((BANDS, segment_count(len(signal), SMOOTHING)))

    def control(self, band: int, gain: Array) -> None:
        """Find the band's width, and fill (samples,) with the outer hair cells' gain."""
        ear, loss = self.ear, self.ear.loss
        wide = CONTROL_BANDWIDTH[band]
        mean_power = kernels.control_power(
            self.signal, ear.cosine, ear.sine, Gammatone.of_band(band, wide), gain
        )
        self.control_rms[band] = np.sqrt(mean_power)
        level_db = ear.level1 + 10 * np.log10(mean_power) if mean_power > 0 else -np.inf
        self.bandwidth[band] = widened(level_db, loss.bandwidth[band], wide)
        kernels.compression_gain(
            gain,
            loss.knee_db[band],
            loss.compression_ratio[band],
            loss.outer_attenuation_db[band],
            ear.level1,
        )

    def compress(self, band: int, gain: Array) -> None:
        """Make the band's compressed envelope and motion."""
        self.rms[band] = kernels.compressed_band(
            self.signal,
            self.ear.cosine,
            self.ear.sine,
            Gammatone.of_band(band, self.bandwidth[band]),
            gain,
            _GAIN_SMOOTHING,
            self.envelope,
            self.motion,
        )

    def fire(self, band: int, noise: Array, delay: int) -> None:
        """Turn envelope and motion into those of the nerve, `delay` samples late."""
        envelope, motion = np.empty_like(self.envelope), np.empty_like(self.motion)
        kernels.inner_hair_cell(
            self.envelope,
            self.motion,
            self.ear.loss.inner_attenuation_db[band],
            self.ear.level1,
            noise,
            self.ear.noise_gain,
            delay,
            envelope,
            motion,
        )
        self.envelope, self.motion = envelope, motion
        self.envelope_db[band] = smoothed(envelope, self.envelope_db.shape[1])

    def spectrum_db(self) -> Array:
        """Long-term level of each band above threshold, (32,)."""
        return sensation_level_db(self.rms, self.control_rms, self.ear.loss, self.ear.level1)
