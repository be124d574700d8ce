"""Defines 32 auditory filters and the effect of a hearing loss on each filter.

The parameters of the filters are those of Kates and Arehart (2014), "The Hearing-Aid Speech Quality
Index (HASQI) version 2", JAES 62(3), section 1. HAAQI (2016) has the same model of the ear.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import group_delay

from cmss.scenes import Audiogram as SceneAudiogram

Array = NDArray[np.float64]

MODEL_RATE_HZ = 24000
"""Sampling rate of the ear model; every signal is resampled to this rate."""

BANDS = 32
"""Number of auditory filters."""

AUDIOMETRIC_FREQUENCIES_HZ = np.array([250.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0])
"""Frequencies at which the ear model reads the audiogram."""

# Moore and Glasberg (1983), J. Acoust. Soc. Am. 74: ERB = 24.7 + frequency / 9.26449.
_EAR_Q = 9.26449
_MINIMUM_ERB_HZ = 24.7


def _center_frequencies_hz(lowest_hz: float = 80.0, highest_hz: float = 8000.0) -> Array:
    """Return ascending frequencies in equal steps on the ERB scale (Slaney 1993, Apple TR 35)."""
    offset = _EAR_Q * _MINIMUM_ERB_HZ
    steps = np.arange(1, BANDS) * (np.log(lowest_hz + offset) - np.log(highest_hz + offset))
    lower = np.exp(steps / (BANDS - 1)) * (highest_hz + offset) - offset
    return np.concatenate(([highest_hz], lower))[::-1]


CENTER_FREQUENCIES_HZ = _center_frequencies_hz()
"""Centre frequencies of the auditory filters, an array of shape (32,)."""

ERB_HZ = _MINIMUM_ERB_HZ + CENTER_FREQUENCIES_HZ / _EAR_Q
"""Equivalent rectangular bandwidths (ERB) of a normal ear's auditory filters."""

WIDTH_PER_ERB = 1.019
"""Bandwidth parameter of a fourth-order gammatone filter, relative to the ERB of the filter."""


def audiometric_levels_db(audiogram: object) -> Array:
    """Interpolate hearing levels in dB at `AUDIOMETRIC_FREQUENCIES_HZ`.

    Interpolation is linear over the logarithm of frequency. Below the first frequency of the
    audiogram, the result is the first level of the audiogram. Above the last frequency, the result
    is the last level.

    Args:
        audiogram: a `cmss.scenes.Audiogram`, or pyclarity's `Audiogram` with the attributes
            `frequencies` and `levels`.

    Returns:
        The hearing levels, an array of shape (6,).
    """
    if isinstance(audiogram, SceneAudiogram):
        frequencies_hz, levels_db = audiogram.frequencies_hz, audiogram.levels_db
    else:
        frequencies_hz, levels_db = audiogram.frequencies, audiogram.levels  # type: ignore[attr-defined]
    return np.interp(np.log(AUDIOMETRIC_FREQUENCIES_HZ), np.log(frequencies_hz), levels_db)


class HearingLoss(NamedTuple):
    """Holds a hearing loss that is divided between outer and inner hair cells.

    Each field has the shape (32,).
    """

    outer_attenuation_db: Array
    """Loss of amplification in the outer hair cells."""
    inner_attenuation_db: Array
    """Loss of sensitivity in the inner hair cells."""
    bandwidth: Array
    """Bandwidth of the auditory filter relative to that of a normal ear."""
    knee_db: Array
    """Level in dB SPL at which compression begins."""
    compression_ratio: Array

    @classmethod
    def at(cls, levels_db: Array) -> "HearingLoss":
        """Divide a hearing loss between outer and inner hair cells.

        The division follows Moore, Vickers, Plack and Oxenham (1999).

        Args:
            levels_db: hearing levels at `AUDIOMETRIC_FREQUENCIES_HZ`, an array of shape (6,).
        """
        loss_db = np.maximum(
            np.interp(CENTER_FREQUENCIES_HZ, AUDIOMETRIC_FREQUENCIES_HZ, levels_db), 0.0
        )
        # The compression ratio of a normal ear rises from 1.25:1 in the lowest band to 3.5:1 in the
        # highest band. With the largest loss of the outer hair cells, the ratio is 1:1 between 30
        # and 100 dB SPL.
        normal_ratio = 1.25 + 2.25 * np.arange(BANDS) / (BANDS - 1)
        shared_db = np.minimum(loss_db, 1.25 * 70.0 * (1.0 - 1.0 / normal_ratio))
        outer_db = 0.8 * shared_db
        knee_db = outer_db + 30.0
        loudest_db = 30.0 + 70.0 / normal_ratio  # output of a normal ear at 100 dB SPL
        return cls(
            outer_attenuation_db=outer_db,
            inner_attenuation_db=0.2 * shared_db + (loss_db - shared_db),
            bandwidth=1.0 + outer_db / 50.0 + 2.0 * (outer_db / 50.0) ** 6,
            knee_db=knee_db,
            compression_ratio=(100.0 - knee_db) / (loudest_db + outer_db - knee_db),
        )


CONTROL_BANDWIDTH = HearingLoss.at(np.full(6, 100.0)).bandwidth
"""Bandwidths of the control filters, which are those of an ear with a hearing loss of 100 dB."""


class Gammatone(NamedTuple):
    """Holds the coefficients of a gammatone filter at baseband (Cooke 1993; Ma 2007).

    The filter is of fourth order and impulse-invariant. The transfer function is H(z) = gain (1 +
    b1/z + b2/z^2) / (1 - a/z)^4. The coefficients of the expanded denominator are computed in
    pyclarity's order of operations: in the lowest bands, the poles are close to z = 1, and a
    different rounding would change the output.
    """

    gain: float
    b1: float
    b2: float
    a1: float
    a2: float
    a3: float
    a4: float

    @classmethod
    def of_band(cls, band: int, bandwidth: float) -> "Gammatone":
        """Build the filter of a band, `bandwidth` times as wide as the filter of a normal ear."""
        width = bandwidth * (2 * np.pi / MODEL_RATE_HZ) * ERB_HZ[band] * WIDTH_PER_ERB
        a = float(np.exp(-width))
        a1, a2, a3, a4, a5 = 4.0 * a, -6.0 * a * a, 4.0 * a * a * a, -a * a * a * a, 4.0 * a * a
        gain = 2.0 * (1 - a1 - a2 - a3 - a4) / (1 + a1 + a5)
        return cls(gain, a1, a5, a1, a2, a3, a4)

    def group_delay(self) -> float:
        """Return the group delay, in samples, at the centre frequency."""
        _, delay = group_delay(
            ([1.0, self.b1, self.b2], [1.0, -self.a1, -self.a2, -self.a3, -self.a4]), w=1
        )
        return float(delay[0])


def widened(band_level_db: float, narrow: float, wide: float) -> float:
    """Return the bandwidth of an auditory filter at a level of the control path.

    The bandwidth is `narrow` up to 50 dB SPL and `wide` from 100 dB SPL on. Between 50 and 100 dB
    SPL, the bandwidth is interpolated linearly.
    """
    if band_level_db < 50.0:
        return narrow
    if band_level_db > 100.0:
        return wide
    return narrow + (band_level_db - 50.0) / 50.0 * (wide - narrow)


def equalising_delays(bandwidths: Array) -> NDArray[np.int64]:
    """Return the delays in samples (32,) that equalise the group delays of all bands."""
    delays = np.rint(
        [Gammatone.of_band(band, bandwidths[band]).group_delay() for band in range(BANDS)]
    ).astype(np.int64)
    return delays.max() - delays
