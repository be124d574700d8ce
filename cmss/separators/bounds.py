"""Defines two separators whose scores are lower and upper bounds for other separators.

The separator for the lower bound returns no stems, so the mixture is not remixed. The separator for
the upper bound returns the ground truth stems.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cmss.audio import read_excerpt
from cmss.scenes import Source
from cmss.separators.protocol import Causality, Stems


@dataclass
class _Bound:
    """Base class of both separators, which do not compute estimates.

    Args:
        sample_rate_hz: sampling rate of the mixtures and stems.
        causality: category of the system in the submission, noncausal or causal. The value has no
            effect on the separators, which never look ahead.
    """

    sample_rate_hz: int
    causality: Causality = "noncausal"
    weights: dict[str, str] = field(default_factory=dict, init=False)

    def prepare(self, sources: Iterable[Source]) -> None:
        """Do nothing: there are no weights to load."""


class Passthrough(_Bound):
    """Lower bound: this separator returns no stems, so the mixture is only amplified."""

    def separate(
        self,
        mixture: NDArray[np.float32],  # noqa: ARG002
        sources: Mapping[str, Source],  # noqa: ARG002
    ) -> Stems:
        """Return no stems."""
        return {}


class Oracle(_Bound):
    """Upper bound: this separator returns the ground truth stems."""

    def separate(
        self,
        mixture: NDArray[np.float32],  # noqa: ARG002
        sources: Mapping[str, Source],
    ) -> Stems:
        """Read the ground truth stem of each source."""
        return {
            source.id: read_excerpt(source.excerpt, self.sample_rate_hz)
            for source in sources.values()
        }
