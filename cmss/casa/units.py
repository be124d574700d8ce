"""Time-frequency units of the auditory scene, one for each channel and frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.casa.correlogram import correlogram
from cmss.casa.gammatone import delay_samples, erb_spaced_hz, gammatone
from cmss.casa.hair_cell import MEDIUM, UNIT_DB_SPL, firing

SAMPLE_RATE_HZ = 16000
FRAME_HZ = 100
CENTRES_HZ = erb_spaced_hz(50.0, 5000.0, 128)
LAGS = SAMPLE_RATE_HZ // 50
WINDOW = 1024
LEVEL_DB_SPL = 60.0
"""Level to which each mixture is scaled, because the response of hair cells depends on level."""
QUIETEST = 0.1
"""Least standard deviation of an active unit's firing rate, relative to the spontaneous rate."""


@dataclass(frozen=True)
class Units:
    """Activity and periodicity of each unit.

    Args:
        periodicity: (channels, frames, lags), autocorrelation divided by its value at lag 0.
        active: (channels, frames), whether the firing rate varies by more than :data:`QUIETEST`.
    """

    periodicity: NDArray[np.float32]
    active: NDArray[np.bool_]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.active.shape[1]


def hear(signal: NDArray[np.floating]) -> Units:
    """Compute the units of a signal at :data:`SAMPLE_RATE_HZ`; frame t is centred on sample 160 t.

    Args:
        signal: (samples,).
    """
    rates = auditory_nerve(signal)
    correlations = correlogram(rates, WINDOW, SAMPLE_RATE_HZ // FRAME_HZ, LAGS)
    power = correlations[..., :1].copy()
    active = power[..., 0] > (QUIETEST * MEDIUM.spontaneous()) ** 2
    # In place, because the array is large.
    correlations /= np.where(power > 0, power, 1)
    return Units(correlations, active)


def auditory_nerve(signal: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the firing rate of each channel in spikes per second, without the filters' delays.

    Args:
        signal: (samples,).

    Returns:
        (channels, samples).
    """
    rms = np.sqrt(np.mean(np.square(signal, dtype=float)))
    level = 10 ** ((LEVEL_DB_SPL - UNIT_DB_SPL) / 20) / rms if rms > 0 else 0.0
    delays = delay_samples(CENTRES_HZ, SAMPLE_RATE_HZ)
    padded = np.pad(signal * level, (0, delays.max()))
    motion = gammatone(padded, CENTRES_HZ, SAMPLE_RATE_HZ).real
    aligned = [row[delay : delay + len(signal)] for row, delay in zip(motion, delays, strict=True)]
    return firing(np.stack(aligned), SAMPLE_RATE_HZ)
