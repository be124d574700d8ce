"""The two ends of the scale: what doing nothing scores, and what no separation can beat."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cmss.audio import read_excerpt
from cmss.scenes import Source
from cmss.separators.protocol import Causality, Stems


@dataclass
class _Bound:
    """What needs nothing that was trained.

    Args:
        sample_rate_hz: of the mixtures and stems.
        causality: named in the submission; neither end of the scale looks ahead.
    """

    sample_rate_hz: int
    causality: Causality = "noncausal"
    weights: dict[str, str] = field(default_factory=dict, init=False)

    def prepare(self, sources: Iterable[Source]) -> None:
        """Nothing to load."""


class Passthrough(_Bound):
    """Takes nothing apart, so that the mixture is handed on unbalanced."""

    def separate(
        self,
        mixture: NDArray[np.float32],  # noqa: ARG002
        sources: Mapping[str, Source],  # noqa: ARG002
    ) -> Stems:
        """No stems."""
        return {}


class Oracle(_Bound):
    """Gives the true stems."""

    def separate(
        self,
        mixture: NDArray[np.float32],  # noqa: ARG002
        sources: Mapping[str, Source],
    ) -> Stems:
        """The reference of each source."""
        return {
            source.id: read_excerpt(source.excerpt, self.sample_rate_hz)
            for source in sources.values()
        }
