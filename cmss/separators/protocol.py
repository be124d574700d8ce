"""What it takes to be a separator."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cmss.scenes import Source

Stems = dict[str, NDArray[np.float32]]
"""Source id -> waveform (2, samples)."""

Causality = Literal["causal", "noncausal"]
"""Whether a system looks ahead by no more than the challenge's 5 ms."""


class Separator(Protocol):
    """Anything that takes a mixture apart."""

    @property
    def sample_rate_hz(self) -> int:
        """Sampling rate of the mixtures that it takes and the stems that it gives."""

    @property
    def weights(self) -> dict[str, str]:
        """What was loaded so far: name or path of each weight file -> its sha256."""

    def prepare(self, sources: Iterable[Source]) -> None:
        """Load what separating these takes, so that what is missing is found before the first.

        Raises:
            InputError: something is missing.
        """

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """Estimate each source.

        Args:
            mixture: (2, samples).
            sources: what plays, by source id. Where its reference lies is for the oracle alone.

        Returns:
            source id -> estimate (2, samples), aligned with the mixture to the sample; nothing at
            all from a separator that takes nothing apart.
        """


@dataclass
class Around:
    """A separator around another: what it does not change is that one's.

    Args:
        separator: the one inside.
    """

    separator: Any

    @property
    def sample_rate_hz(self) -> int:
        """That of the separator."""
        return self.separator.sample_rate_hz

    @property
    def weights(self) -> dict[str, str]:
        """Those of the separator."""
        return self.separator.weights

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`."""
        self.separator.prepare(sources)
