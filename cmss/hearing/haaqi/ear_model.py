"""Applies the ear model to a reference and several processed signals, band after band.

The model is that of Kates and Arehart (2014), JAES 62(3), section 1. In each of the 32 bands, the
model consists of a wide control filter, an auditory filter, the outer hair cells and the inner hair
cells.

The mean level at the output of the control filter sets the bandwidth of the auditory filter. The
instantaneous level at the output of the control filter sets the gain of the outer hair cells. The
output of the auditory filter consists of an envelope and the motion of the basilar membrane. The
gain of the outer hair cells compresses the envelope and the motion. The envelope and the motion of
the processed signal are aligned with the envelope and the motion of the reference. The inner hair
cells convert the envelope and the motion to firing rates. A low noise represents the hearing
threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter

from cmss.hearing.haaqi import kernels
from cmss.hearing.haaqi.alignment import Aligner
from cmss.hearing.haaqi.cepstral import SMOOTHING, smoothed
from cmss.hearing.haaqi.filterbank import (
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
from cmss.hearing.haaqi.front_end import advance
from cmss.hearing.haaqi.loudness import sensation_level_db
from cmss.hearing.haaqi.noise import NormalDeviates
from cmss.hearing.haaqi.synchrony import SEGMENT, covariances, motion_level_db, segment_count

NOISE_DB = -10.0
"""Level of the noise that represents the hearing threshold, in dB relative to this threshold."""

SILENCE_DB = 2.5
"""Threshold of the sensation level in dB. A segment whose level does not exceed the threshold is
ignored, in all bands or in a single band."""

_GAIN_LOW_PASS = butter(1, 800 / (MODEL_RATE_HZ / 2))

GAIN_SMOOTHING = float(_GAIN_LOW_PASS[0][0]), float(_GAIN_LOW_PASS[1][1])
"""Coefficients b and a of the 800 Hz low-pass filter b (1 + 1/z) / (1 + a/z).

This filter delays the compression gain by 0.2 ms (Zhang et al. 2001).
"""


@dataclass(frozen=True)
class EarOutputs:
    """Holds the outputs of the ear model for a processed signal and its reference.

    Attributes:
        reference_envelope_db, processed_envelope_db: smoothed envelopes of both signals, arrays of
            shape (32, segments of 8 ms).
        reference_spectrum_db, processed_spectrum_db: long-term levels of both signals above the
            hearing threshold, arrays of shape (32,).
        motion_level_db: level of the reference's motion, an array of shape (32, segments of 16 ms).
        motion_covariance: normalised covariance between the motions of both signals, an array of
            shape (32, segments of 16 ms). The covariance is 0 where the reference is inaudible.
    """

    reference_envelope_db: Array
    processed_envelope_db: Array
    reference_spectrum_db: Array
    processed_spectrum_db: Array
    motion_level_db: Array
    motion_covariance: Array


def apply_ear_model(
    reference: Array, processed: Sequence[Array], levels_db: Array, level1: float
) -> list[EarOutputs]:
    """Apply the model of an ear to a reference and to several processed signals.

    The noise consists of normal deviates from NumPy's global generator. The deviates for all bands
    of the reference come first, and the deviates for all bands of the processed signals follow. All
    processed signals get the same noise. Therefore, the result for each processed signal does not
    depend on the other processed signals.

    Args:
        reference: reference at 24 kHz after the middle ear, an array of shape (samples,).
        processed: processed signals after alignment and the middle ear, arrays of shape (samples,).
        levels_db: hearing levels at the audiometric frequencies, an array of shape (6,).
        level1: level in dB SPL of a signal whose root mean square is 1.

    Returns:
        The outputs for each processed signal, in the order of `processed`.
    """
    samples = len(reference)
    ear = _Ear(HearingLoss.at(levels_db), level1, samples)
    reference_noise, processed_noise = NormalDeviates(), NormalDeviates()
    processed_noise.skip(BANDS * samples)

    reference_path = _Path(ear, reference)
    gain = reference_path.control_all()
    delays = equalising_delays(reference_path.bandwidth)
    paths = [_Path(ear, signal) for signal in processed]
    level_db = np.empty((BANDS, segment_count(samples, SEGMENT)))
    envelope_aligner, motion_aligner = Aligner(samples), Aligner(samples)
    path_gain, noise = np.empty(samples), np.empty(samples)
    for band in range(BANDS):
        ear.tune(band)
        reference_path.compress(band, gain[band])
        envelope_aligner.set_reference(reference_path.envelope)
        motion_aligner.set_reference(reference_path.motion)
        for path in paths:
            path.control(band, path_gain)
            path.compress(band, path_gain)
            path.align(envelope_aligner, motion_aligner)
        reference_noise.fill(noise)
        reference_path.fire(band, noise, delays[band])
        level_db[band] = motion_level_db(reference_path.firing)
        processed_noise.fill(noise)
        audible = level_db[band] > SILENCE_DB
        for path in paths:
            path.fire(band, noise, delays[band])
            path.covariance[band] = covariances(reference_path.firing, path.firing, audible)
    processed_noise.store()
    return [
        EarOutputs(
            reference_path.envelope_db,
            path.envelope_db,
            reference_path.spectrum_db(),
            path.spectrum_db(),
            level_db,
            path.covariance,
        )
        for path in paths
    ]


class _Ear:
    """Holds the hearing loss and the calibration of an ear, and the carrier of the current band."""

    def __init__(self, loss: HearingLoss, level1: float, samples: int) -> None:
        self.loss = loss
        self.level1 = level1
        self.noise_gain = 10 ** ((NOISE_DB - level1) / 20)
        self.cosine = np.empty(samples)
        self.sine = np.empty(samples)
        self.adapted_db = np.empty(samples)

    def tune(self, band: int) -> None:
        """Compute the carrier that shifts the centre frequency of a band to 0 Hz."""
        radians = 2 * np.pi / MODEL_RATE_HZ * CENTER_FREQUENCIES_HZ[band]
        kernels.demodulate(radians, self.cosine, self.sine)


class _Path:
    """Applies the steps of the ear model to a signal, and stores the results.

    Attributes:
        envelope, motion: envelope and motion of the current band after compression, arrays of shape
            (samples,).
        firing: motion of the current band after the inner hair cells, an array of shape (samples,).
        covariance: covariance between the motions of this signal and of the reference, an array of
            shape (32, segments of 16 ms).
    """

    def __init__(self, ear: _Ear, signal: Array) -> None:
        self.ear = ear
        self.signal = signal
        self.envelope = np.empty(len(signal))
        self.motion = np.empty(len(signal))
        self.firing = np.empty(len(signal))
        self.rms = np.empty(BANDS)
        self.control_rms = np.empty(BANDS)
        self.bandwidth = np.empty(BANDS)
        self.envelope_db = np.empty((BANDS, segment_count(len(signal), SMOOTHING)))
        self.covariance = np.empty((BANDS, segment_count(len(signal), SEGMENT)))

    def control(self, band: int, gain: Array) -> None:
        """Compute the bandwidth of a band and the gain of its outer hair cells.

        The bandwidth is stored, and the gain is written into the array `gain` (samples,).
        """
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

    def control_all(self) -> Array:
        """Call `control` for all bands, and return the gains of the outer hair cells.

        The result has the shape (32, samples).

        For the reference, `control_all` is called instead of `control`, because all bandwidths are
        needed before the first band is filtered. The group delays depend on the bandwidths, and are
        equalised over all bands.
        """
        gain = np.empty((BANDS, len(self.signal)))
        for band in range(BANDS):
            self.ear.tune(band)
            self.control(band, gain[band])
        return gain

    def compress(self, band: int, gain: Array) -> None:
        """Compute the compressed envelope and basilar-membrane motion in one band."""
        self.rms[band] = kernels.compressed_band(
            self.signal,
            self.ear.cosine,
            self.ear.sine,
            Gammatone.of_band(band, self.bandwidth[band]),
            gain,
            GAIN_SMOOTHING,
            self.envelope,
            self.motion,
        )

    def align(self, envelope_aligner: Aligner, motion_aligner: Aligner) -> None:
        """Advance the envelope and the motion, each by its own delay relative to the reference."""
        advance(self.envelope, envelope_aligner.delay(self.envelope))
        advance(self.motion, motion_aligner.delay(self.motion))

    def fire(self, band: int, noise: Array, delay: int) -> None:
        """Convert the envelope and the motion to firing rates that start after `delay` samples."""
        kernels.inner_hair_cell(
            self.envelope,
            self.motion,
            self.ear.loss.inner_attenuation_db[band],
            self.ear.level1,
            noise,
            self.ear.noise_gain,
            delay,
            self.ear.adapted_db,
            self.firing,
        )
        self.envelope_db[band] = smoothed(self.ear.adapted_db, self.envelope_db.shape[1])

    def spectrum_db(self) -> Array:
        """Return by how many dB the long-term level of each band exceeds the hearing threshold.

        The result has the shape (32,).
        """
        return sensation_level_db(self.rms, self.control_rms, self.ear.loss, self.ear.level1)
