"""The ear's parameters: 32 auditory filters, and what a hearing loss does to each.

Kates and Arehart (2014), "The Hearing-Aid Speech Quality Index (HASQI) version 2", J. Audio Eng.
Soc. 62(3), section 1; the same periphery serves HAAQI (2016).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import group_delay

from cmss.scenes import Audiogram as SceneAudiogram

Array = NDArray[np.float64]

MODEL_RATE_HZ = 24000
"""Every signal is brought to this rate, so that the filters have one shape."""

BANDS = 32

AUDIOMETRIC_FREQUENCIES_HZ = np.array([250.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0])
"""The frequencies at which the model reads the audiogram."""

# Moore and Glasberg (1983), J. Acoust. Soc. Am. 74: ERB = 24.7 + frequency / 9.26449.
_EAR_Q = 9.26449
_MINIMUM_ERB_HZ = 24.7

WIDEST_LOSS_DB = 100.0
"""The control path's filters are as wide as this loss makes them."""


def _center_frequencies_hz(lowest_hz: float = 80.0, highest_hz: float = 8000.0) -> Array:
    """Equal steps on the ERB scale, ascending; Slaney (1993), Apple TR 35."""
    offset = _EAR_Q * _MINIMUM_ERB_HZ
    steps = np.arange(1, BANDS) * (np.log(lowest_hz + offset) - np.log(highest_hz + offset))
    lower = np.exp(steps / (BANDS - 1)) * (highest_hz + offset) - offset
    return np.concatenate(([highest_hz], lower))[::-1]


CENTER_FREQUENCIES_HZ = _center_frequencies_hz()

ERB_HZ = _MINIMUM_ERB_HZ + CENTER_FREQUENCIES_HZ / _EAR_Q
"""Width of a normal ear's filters, as equivalent rectangular bandwidth."""

WIDTH_PER_ERB = 1.019
"""Width of a fourth-order gammatone filter over its equivalent rectangular bandwidth."""


def audiometric_levels_db(audiogram: object) -> Array:
    """Hearing levels in dB at `AUDIOMETRIC_FREQUENCIES_HZ`.

    Interpolated over the logarithm of frequency, the end values held beyond the ends.

    Args:
        audiogram: a `cmss.scenes.Audiogram`, or pyclarity's (`frequencies` and `levels`).
    """
    if isinstance(audiogram, SceneAudiogram):
        frequencies_hz, levels_db = audiogram.frequencies_hz, audiogram.levels_db
    else:
        frequencies_hz, levels_db = audiogram.frequencies, audiogram.levels  # type: ignore[attr-defined]
    return np.interp(np.log(AUDIOMETRIC_FREQUENCIES_HZ), np.log(frequencies_hz), levels_db)


class HearingLoss(NamedTuple):
    """A hearing loss apportioned to outer and inner hair cells; each field (32,), one per band."""

    outer_attenuation_db: Array
    """Lost amplification of the outer hair cells."""
    inner_attenuation_db: Array
    """Lost sensitivity of the inner hair cells."""
    bandwidth: Array
    """Filter width relative to a normal ear's."""
    knee_db: Array
    """Level in dB SPL at which compression begins."""
    compression_ratio: Array

    @classmethod
    def at(cls, levels_db: Array) -> "HearingLoss":
        """Apportion a loss by Moore, Vickers, Plack and Oxenham (1999).

        Args:
            levels_db: (6,) hearing levels at `AUDIOMETRIC_FREQUENCIES_HZ`.
        """
        loss_db = np.maximum(
            np.interp(CENTER_FREQUENCIES_HZ, AUDIOMETRIC_FREQUENCIES_HZ, levels_db), 0.0
        )
        # A normal ear compresses 1.25:1 in the lowest band to 3.5:1 in the highest; the most that
        # outer hair cells can lose is the gain that makes it 1:1 between 30 and 100 dB SPL.
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


CONTROL_BANDWIDTH = HearingLoss.at(np.full(6, WIDEST_LOSS_DB)).bandwidth


class Gammatone(NamedTuple):
    """A fourth-order gammatone filter at baseband, impulse-invariant (Cooke 1993; Ma 2007).

    H(z) = gain (1 + b1/z + b2/z^2) / (1 - a/z)^4, the denominator multiplied out. The products
    are rounded as pyclarity rounds them, because near z = 1 the lowest bands feel it.
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
        """The filter of a band, `bandwidth` times as wide as a normal ear's."""
        width = bandwidth * (2 * np.pi / MODEL_RATE_HZ) * ERB_HZ[band] * WIDTH_PER_ERB
        a = float(np.exp(-width))
        a1, a2, a3, a4, a5 = 4.0 * a, -6.0 * a * a, 4.0 * a * a * a, -a * a * a * a, 4.0 * a * a
        gain = 2.0 * (1 - a1 - a2 - a3 - a4) / (1 + a1 + a5)
        return cls(gain, a1, a5, a1, a2, a3, a4)

    def group_delay(self) -> float:
        """Samples by which a steady envelope is delayed."""
        _, delay = group_delay(
            ([1.0, self.b1, self.b2], [1.0, -self.a1, -self.a2, -self.a3, -self.a4]), w=1
        )
        return float(delay[0])


def widened(band_level_db: float, narrow: float, wide: float) -> float:
    """Bandwidth at a control level: `narrow` up to 50 dB SPL, `wide` from 100 dB SPL on."""
    if band_level_db < 50.0:
        return narrow
    if band_level_db > 100.0:
        return wide
    return narrow + (band_level_db - 50.0) / 50.0 * (wide - narrow)


def equalising_delays(bandwidths: Array) -> NDArray[np.int64]:
    """Samples (32,) by which to delay each band so that all have the slowest one's group delay."""
    delays = np.rint(
        [Gammatone.of_band(band, bandwidths[band]).group_delay() for band in range(BANDS)]
    ).astype(np.int64)
    return delays.max() - delays
