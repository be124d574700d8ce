"""The two ends of the scale: what doing nothing scores, and what no separation can beat."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cmss.audio import read_excerpt
from cmss.scenes import Source
from cmss.separators.protocol import Causality, Stems


@dataclass
class Passthrough:
    """Takes nothing apart, so that the mixture is handed on unbalanced.

    Args:
        sample_rate_hz: of the mixtures.
        causality: named in the submission; the mixture itself needs no look ahead.
    """

    sample_rate_hz: int
    causality: Causality = "noncausal"
    weights: dict[str, str] = field(default_factory=dict, init=False)

    def prepare(self, sources: Iterable[Source]) -> None:
        """Nothing to load."""

    def separate(
        self,
        mixture: NDArray[np.float32],  # noqa: ARG002
        sources: Mapping[str, Source],  # noqa: ARG002
    ) -> Stems:
        """No stems."""
        return {}


@dataclass
class Oracle:
    """Gives the true stems.

    Args:
        sample_rate_hz: of the stems.
        causality: named in the submission; reading a stem needs no look ahead.
    """

    sample_rate_hz: int
    causality: Causality = "noncausal"
    weights: dict[str, str] = field(default_factory=dict, init=False)

    def prepare(self, sources: Iterable[Source]) -> None:
        """Nothing to load."""

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
