"""Defines the protocol of separators and the base class of wrappers around separators."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cmss.scenes import Source

Stems = dict[str, NDArray[np.float32]]
"""Dict from the source id to the waveform of the source, an array of shape (2, samples)."""

Causality = Literal["causal", "noncausal"]
"""Whether a system is causal; in the challenge, a causal system looks ahead by at most 5 ms."""

NOT_SHAPING = ("device", "cache", "weights_from", "checkpoint", "revision", "force_redownload")
"""Settings that do not affect estimates. The location of weights is among them, because weights are
identified by their content."""


class Separator(Protocol):
    """Protocol of a separator, which estimates the sources of a mixture."""

    @property
    def sample_rate_hz(self) -> int:
        """Sampling rate of the mixtures and stems."""

    @property
    def weights(self) -> dict[str, str]:
        """Dict from the name or path of each weight file loaded so far to its SHA-256 digest."""

    def prepare(self, sources: Iterable[Source]) -> None:
        """Load everything that these sources need, so that errors occur before separation begins.

        Raises:
            InputError: weights are missing or do not fit the separator.
        """

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """Estimate each source.

        Args:
            mixture: the mixture, an array of shape (2, samples).
            sources: dict from the source id to the source. Only the separator `oracle` reads the
                ground truth stems of the sources.

        Returns:
            Dict from the source id to the estimate, an array of shape (2, samples) that is aligned
            with the mixture sample by sample. The dict is empty if the separator returns no stems.
        """


@dataclass
class Around:
    """Base class of wrappers, with the properties of the wrapped separator.

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
        """Dict from each weight file of the wrapped separator to its SHA-256 digest."""
        return self.separator.weights

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`."""
        self.separator.prepare(sources)
