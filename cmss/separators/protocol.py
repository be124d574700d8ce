"""Defines the protocol of separators, and the base class of wrappers around separators."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cmss.scenes import Source

Stems = dict[str, NDArray[np.float32]]
"""Source id -> waveform (2, samples)."""

Causality = Literal["causal", "noncausal"]
"""Causal systems look ahead by at most 5 ms, the limit of the challenge."""


class Separator(Protocol):
    """Estimates the sources of a mixture."""

    @property
    def sample_rate_hz(self) -> int:
        """Sampling rate of mixtures and stems."""

    @property
    def weights(self) -> dict[str, str]:
        """Dict from the name or path of each weight file loaded so far to its SHA-256 digest."""

    def prepare(self, sources: Iterable[Source]) -> None:
        """Load everything that these sources need, so that errors occur before separation begins.

        Raises:
            InputError: weights are missing or do not fit.
        """

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """Estimate each source.

        Args:
            mixture: (2, samples).
            sources: the players, by source id. Only the oracle reads their references.

        Returns:
            Dict from the source id to the estimate, (2, samples), which is aligned with the mixture
            to the sample. The dict is empty if the separator does not separate.
        """


@dataclass
class Around:
    """Base wrapper: delegates whatever it does not override.

    Args:
        separator: the wrapped separator.
    """

    separator: Any

    @property
    def sample_rate_hz(self) -> int:
        """Sampling rate of the wrapped separator."""
        return self.separator.sample_rate_hz

    @property
    def weights(self) -> dict[str, str]:
        """Weight files of the wrapped separator."""
        return self.separator.weights

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`."""
        self.separator.prepare(sources)
