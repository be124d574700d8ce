"""Remixes a mixture: applies a gain to the estimated stem of each source.

A gain of g dB multiplies the stem by 10^(g/20); a gain of minus infinity mutes the source. The
remix is multiplied by the level factor 10^(G/20), where G = -10 log10(mean of 10^(g/10) over all
sources). If all sources have equal powers and are not correlated, the remix then has the power of
the mixture. The remix needs this power because the compressor of the hearing aid is designed for a
fixed level.
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
    """A method that computes the remix of a mixture."""

    def __call__(self, mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Waveform:
        """Remix a mixture (2, samples), with a dict from source id to estimated stem."""


@dataclass(frozen=True)
class ConsistentRemix:
    """Computes the remix as the mixture plus the sum of (factor - 1) x estimate over all sources.

    The factor of a source is 10^(gain in dB / 20). If the gain of a source is 0 dB, the estimate of
    this source has no effect, and adds no artefacts to the remix. If the estimates sum to the
    mixture, the remix equals the weighted sum of the estimates.

    Args:
        trust: number from 0 to 1. For each source, the term (factor - 1) x estimate is multiplied
            by this number. Values below 1 are suitable for poor estimates.

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
    """Computes the remix of the official baseline: the weighted sum of the estimates.

    If an instrument has two players, the gain in dB of each player is replaced by the mean of both
    gains. If two instruments have two players each, the mean is over all four players. The level
    factor is computed from the gains before this replacement.
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
        mixture: mixture (2, samples).
        stems: dict from the source id to the estimated stem (2, samples). If the dict is empty, the
            mixture is returned unchanged.
        scene: scene with the gains of the sources.
        remix: method that computes the remix.

    Returns:
        The remix, an array of shape (2, samples) and type float64.
    """
    return remix(mixture, stems, scene) if stems else mixture.astype(np.float64)


def reference_remix(stems: Stems, gains_db: Mapping[str, float]) -> Waveform:
    """Compute the reference signal for the scores: the remix of the ground truth stems.

    Args:
        stems: dict from the source id to the ground truth stem (2, samples).
        gains_db: dict from the source id to its gain in dB.

    Returns:
        The remix, an array of shape (2, samples) and type float64.
    """
    total = np.zeros(next(iter(stems.values())).shape)
    for source_id, stem in stems.items():
        total += factor(gains_db[source_id]) * stem.astype(np.float64)
    return total * level_factor(gains_db)


def factor(gain_db: float) -> float:
    """Convert a gain in dB to a factor of the amplitude."""
    return float(10 ** (gain_db / 20))


def level_factor(gains_db: Mapping[str, float]) -> float:
    """Return the level factor, which scales a remix to the power of the mixture.

    The factor is exact if all sources have equal powers and are not correlated.

    Raises:
        InputError: every player is muted, so that no factor can keep the power.
    """
    powers = [10 ** (gain / 10) for gain in gains_db.values()]
    if not sum(powers):
        raise InputError("gains: every player is muted, expected at least one audible player")
    return float(np.sqrt(len(powers) / sum(powers)))


def averaged_gains(
    gains_db: Mapping[str, float], sources: Mapping[str, Source]
) -> dict[str, float]:
    """Return the gains in dB, with averaged gains for instruments that have several players.

    All players of these instruments get the mean of their gains in dB.
    """
    players = Counter(source.instrument for source in sources.values())
    doubled = [key for key, source in sources.items() if players[source.instrument] > 1]
    mean = float(np.mean([gains_db[key] for key in doubled])) if doubled else 0.0
    return {key: mean if key in doubled else gain for key, gain in gains_db.items()}
