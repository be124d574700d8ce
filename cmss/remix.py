"""Remixes a mixture with a gain for each source, from estimates of the stems.

A gain of g dB is a factor of 10^(g/20); minus infinity mutes. The sum is scaled by the level factor
10^(G/20), G = -10 log10(mean over sources of 10^(g/10)). For sources of equal power, this
factor keeps the power of the mixture, because the compressor is designed for a fixed level.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.scenes import Scene, Source

Waveform = NDArray[np.float64]
Stems = Mapping[str, NDArray[np.float32]]


class Remix(Protocol):
    """A method to compute the remix."""

    def __call__(self, mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Waveform:
        """Remix a mixture (2, samples) with estimates by source id: (2, samples)."""


@dataclass(frozen=True)
class ConsistentRemix:
    """Adds the changes of the sources to the mixture: mixture + sum of (factor - 1) x estimate.

    The estimate of a source with a gain of 0 dB has no effect, so it adds no artefacts. If the
    estimates sum to the mixture, the result is the weighted sum of the estimates.

    Args:
        trust: fraction of each change that is applied, from 0 (none) to 1 (all). Values below 1
            suit poor estimates.

    Raises:
        InputError: `trust` is out of range.
    """

    trust: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.trust <= 1:
            raise InputError(f"remix.trust: expected 0 to 1, got {self.trust:g}")

    def __call__(self, mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Waveform:
        """See :class:`Remix`."""
        remix = mixture.astype(np.float64)
        for source_id, stem in stems.items():
            change = factor(scene.gains_db[source_id]) - 1
            remix += self.trust * change * stem.astype(np.float64)
        return remix * level_factor(scene.gains_db)


@dataclass(frozen=True)
class OfficialRemix:
    """The official baseline's remix: the weighted sum of the estimates.

    The gains in dB of all players of doubled instruments are replaced by their mean; with two
    doubled instruments, the mean is over the players of both. The level factor is computed from the
    original gains.
    """

    def __call__(self, mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Waveform:
        """See :class:`Remix`."""
        gains_db = averaged_gains(scene.gains_db, scene.track.sources)
        remix = np.zeros(mixture.shape)
        for source_id, stem in stems.items():
            remix += factor(gains_db[source_id]) * stem.astype(np.float64)
        return remix * level_factor(scene.gains_db)


def rebalance(mixture: NDArray[np.float32], stems: Stems, scene: Scene, remix: Remix) -> Waveform:
    """Remix a mixture with the gains of a scene.

    Args:
        mixture: (2, samples).
        stems: estimates by source id. If empty, from a separator that does not separate, the
            mixture is returned unchanged.
        scene: scene with the gains.
        remix: method of the remix.

    Returns:
        (2, samples), float64.
    """
    return remix(mixture, stems, scene) if stems else mixture.astype(np.float64)


def reference_remix(stems: Stems, gains_db: Mapping[str, float]) -> Waveform:
    """Compute the reference of scores: the sum of the ground truth stems with their gains.

    Args:
        stems: dict from the source id to the ground truth stem, (2, samples).
        gains_db: dict from the source id to its gain in dB.

    Returns:
        (2, samples), float64.
    """
    total = np.zeros(next(iter(stems.values())).shape)
    for source_id, stem in stems.items():
        total += factor(gains_db[source_id]) * stem.astype(np.float64)
    return total * level_factor(gains_db)


def factor(gain_db: float) -> float:
    """Convert a gain in dB to a factor of the amplitude."""
    return float(10 ** (gain_db / 20))


def level_factor(gains_db: Mapping[str, float]) -> float:
    """Return the factor that keeps the power of a mixture of sources with equal power.

    Raises:
        InputError: every player is muted, so there is no such factor.
    """
    powers = [10 ** (gain / 10) for gain in gains_db.values()]
    if not sum(powers):
        raise InputError("gains: every player is muted, expected at least one audible player")
    return float(np.sqrt(len(powers) / sum(powers)))


def averaged_gains(
    gains_db: Mapping[str, float], sources: Mapping[str, Source]
) -> dict[str, float]:
    """Return the official baseline's gains: players of doubled instruments get their mean in dB."""
    players = Counter(source.instrument for source in sources.values())
    doubled = [key for key, source in sources.items() if players[source.instrument] > 1]
    mean = float(np.mean([gains_db[key] for key in doubled])) if doubled else 0.0
    return {key: mean if key in doubled else gain for key, gain in gains_db.items()}
