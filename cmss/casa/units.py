"""Computes the time-frequency units of a signal; there is a unit for each channel and frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.casa.correlogram import correlogram
from cmss.casa.gammatone import delay_samples, erb_spaced_hz, gammatone
from cmss.casa.hair_cell import MEDIUM, UNIT_DB_SPL, firing

SAMPLE_RATE_HZ = 16000
FRAME_HZ = 100
"""Number of frames per second."""
CENTRES_HZ = erb_spaced_hz(50.0, 5000.0, 128)
"""Centre frequencies of the filterbank, an array of shape (channels,)."""
LAGS = SAMPLE_RATE_HZ // 50
"""Number of lags of the correlogram; the largest lag is 20 ms, the period of 50 Hz."""
WINDOW = 1024
"""Number of samples in a frame of the correlogram, 64 ms."""
MIN_DEVIATION = 0.1
"""Smallest standard deviation of an active unit's firing rate, divided by the spontaneous rate."""


@dataclass(frozen=True)
class Units:
    """Holds the activity and the periodicity of each time-frequency unit.

    Args:
        periodicity: normalised autocorrelation of the firing rate (1 at lag 0), an array of shape
            (channels, frames, lags).
        active: whether each unit is active, see :data:`MIN_DEVIATION`, an array of shape (channels,
            frames).
    """

    periodicity: NDArray[np.float32]
    active: NDArray[np.bool_]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.active.shape[1]


def compute_units(signal: NDArray[np.floating]) -> Units:
    """Compute the time-frequency units of a signal; frame t is centred on sample 160 t.

    Args:
        signal: the signal, an array of shape (samples,), sampled at :data:`SAMPLE_RATE_HZ`.
    """
    rates = auditory_nerve(signal)
    correlations = correlogram(rates, WINDOW, SAMPLE_RATE_HZ // FRAME_HZ, LAGS)
    power = correlations[..., :1].copy()  # (channels, frames, 1): variance of the firing rate
    active = power[..., 0] > (MIN_DEVIATION * MEDIUM.spontaneous()) ** 2
    # The division is in place, because the array is large.
    correlations /= np.where(power > 0, power, 1)
    return Units(correlations, active)


def auditory_nerve(signal: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the firing rate of each channel in spikes per second.

    The group delays of the filters are removed.

    Args:
        signal: the signal, an array of shape (samples,), sampled at :data:`SAMPLE_RATE_HZ`.

    Returns:
        The firing rates, an array of shape (channels, samples).
    """
    rms = np.sqrt(np.mean(np.square(signal, dtype=float)))
    # The response of hair cells depends on the level, so each mixture is scaled to 60 dB SPL.
    gain = 10 ** ((60.0 - UNIT_DB_SPL) / 20) / rms if rms > 0 else 0.0
    delays = delay_samples(CENTRES_HZ, SAMPLE_RATE_HZ)
    padded = np.pad(signal * gain, (0, delays.max()))
    # Motion of the basilar membrane, (channels, samples).
    motion = gammatone(padded, CENTRES_HZ, SAMPLE_RATE_HZ).real
    aligned = [row[delay : delay + len(signal)] for row, delay in zip(motion, delays, strict=True)]
    return firing(np.stack(aligned), SAMPLE_RATE_HZ)
