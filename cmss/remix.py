"""From a mixture and estimates of its stems to the mixture that the listener asked for.

A gain of g dB is a factor of 10^(g/20); minus infinity mutes. The sum is scaled by the level factor
10^(G/20), G = -10 log10(mean over sources of 10^(g/10)), so that players of equal power are as loud
together after the remix as before; the compressor is designed for one level.
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
    """A way of putting the mixture together again."""

    def __call__(self, mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Waveform:
        """Mixture (2, samples), estimates by source id, gains of the scene -> (2, samples)."""


@dataclass(frozen=True)
class ConsistentRemix:
    """Changes the mixture by what the gains ask for: mixture + sum of (factor - 1) x estimate.

    A source that nobody asked to change carries no artefact, and where the estimates sum to the
    mixture this is the sum of the gained estimates.

    Args:
        trust: share of each change that is made, from 0 (none) to 1 (all); less than one suits
            poor estimates.

    Raises:
        InputError: trust is out of this range.
    """

    trust: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.trust <= 1:
            raise InputError(f"remix.trust: {self.trust:g}, expected 0 to 1")

    def __call__(self, mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Waveform:
        """See :class:`Remix`."""
        remix = mixture.astype(np.float64)
        for source_id, stem in stems.items():
            change = factor(scene.gains_db[source_id]) - 1
            remix += self.trust * change * stem.astype(np.float64)
        return remix * level_factor(scene.gains_db)


@dataclass(frozen=True)
class OfficialRemix:
    """The official baseline's: the sum of the gained estimates.

    Where an instrument is doubled, the gains in dB of all doubled players are replaced by their
    one mean, two doubled instruments pooled; the level factor keeps the gains as asked for.
    """

    def __call__(self, mixture: NDArray[np.float32], stems: Stems, scene: Scene) -> Waveform:
        """See :class:`Remix`."""
        gains_db = averaged_gains(scene.gains_db, scene.track.sources)
        remix = np.zeros(mixture.shape)
        for source_id, stem in stems.items():
            remix += factor(gains_db[source_id]) * stem.astype(np.float64)
        return remix * level_factor(scene.gains_db)


def rebalance(mixture: NDArray[np.float32], stems: Stems, scene: Scene, remix: Remix) -> Waveform:
    """The mixture as the scene's gains ask for it.

    Args:
        mixture: (2, samples).
        stems: estimates by source id; none at all, from a separator that takes nothing apart,
            hands the mixture on as it is.
        scene: gains.
        remix: how.

    Returns:
        (2, samples), float64.
    """
    return remix(mixture, stems, scene) if stems else mixture.astype(np.float64)


def reference_remix(stems: Stems, gains_db: Mapping[str, float]) -> Waveform:
    """What a perfect system gives, and what scores compare with: the true stems, gained and summed.

    Args:
        stems: (2, samples) each, by source id.
        gains_db: by source id.
    """
    total = np.zeros(next(iter(stems.values())).shape)
    for source_id, stem in stems.items():
        total += factor(gains_db[source_id]) * stem.astype(np.float64)
    return total * level_factor(gains_db)


def factor(gain_db: float) -> float:
    """Gain in dB to a factor of the amplitude."""
    return float(10 ** (gain_db / 20))


def level_factor(gains_db: Mapping[str, float]) -> float:
    """Factor that keeps the power of equally loud players.

    Raises:
        InputError: every player is muted, so that no factor does.
    """
    powers = [10 ** (gain / 10) for gain in gains_db.values()]
    if not sum(powers):
        raise InputError("gains: every player is muted, expected a player who can be heard")
    return float(np.sqrt(len(powers) / sum(powers)))


def averaged_gains(
    gains_db: Mapping[str, float], sources: Mapping[str, Source]
) -> dict[str, float]:
    """Gains as the official baseline applies them: all doubled players get one mean in dB."""
    players = Counter(source.instrument for source in sources.values())
    doubled = [key for key, source in sources.items() if players[source.instrument] > 1]
    mean = float(np.mean([gains_db[key] for key in doubled])) if doubled else 0.0
    return {key: mean if key in doubled else gain for key, gain in gains_db.items()}
