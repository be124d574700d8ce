"""Shrinks the difference between the estimates of two players of the same instrument.

Two such players have the same timbre, so their estimates have more of each other's sound than those
of other players, and they are sometimes exchanged. A wrong difference between the estimates costs
more than no difference: the remix then makes the wrong player louder. Estimates that are alike have
hardly been separated, and their difference is often wrong. It is multiplied by a factor between 0
and 1 that grows with the contrast of the estimates, as by a shrinkage estimator (James and Stein
1961, "Estimation with quadratic loss", Berkeley Symposium).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.scenes import Source
from cmss.separators.protocol import Around, Stems

Samples = NDArray[np.float32]


@dataclass
class ShrinkDoubled(Around):
    """Wrapper that shrinks the differences between the players of each doubled instrument."""

    def separate(self, mixture: Samples, sources: Mapping[str, Source]) -> Stems:
        """See :class:`cmss.separators.protocol.Separator`; the sum of the estimates is kept."""
        stems = self.separator.separate(mixture, sources)
        players: dict[str, list[str]] = {}
        for key in stems:
            if sources[key].voice is not None:
                players.setdefault(sources[key].instrument, []).append(key)
        for keys in players.values():
            if len(keys) == 2:
                first, second = (stems[key] for key in keys)
                half = np.float32((1 - contrast(first, second)) / 2) * (first - second)
                stems[keys[0]], stems[keys[1]] = first - half, second + half
        return stems


def contrast(first: Samples, second: Samples) -> float:
    """Return the energy of the difference of two signals relative to the energy of their sum.

    The result is at most 1. It is 1 if the signals are not correlated, for instance if they never
    sound in the same bin, or if one of them is silent. It is 0 if the signals are equal.
    """
    difference, total = (
        np.square(signal, dtype=np.float64).sum() for signal in (first - second, first + second)
    )
    return float(min(difference / total, 1.0)) if total > 0 else 1.0
