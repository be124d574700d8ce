"""`separator=ensemble`: a weighted sum of other separators' estimates, per instrument."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.scenes import Source
from cmss.separators.protocol import Separator, Stems


@dataclass
class Member:
    """One separator of an ensemble.

    Args:
        separator: what estimates.
        weight: how much it counts: one number, or one for each instrument by name.
    """

    separator: Separator
    weight: float | Mapping[str, float]

    def weight_of(self, instrument: str) -> float:
        """Its weight for an instrument."""
        if not isinstance(self.weight, Mapping):
            return float(self.weight)
        if instrument not in self.weight:
            raise InputError(f"ensemble.members: no weight for {instrument}, expected a number")
        return float(self.weight[instrument])


@dataclass
class Ensemble:
    """Adds up its members' estimates of each source by their weights for its instrument.

    Args:
        members: at least one.
        normalise: divide by the sum of the weights, so that only their ratios matter.

    Raises:
        InputError: no members, or members that differ in sampling rate.
    """

    members: Sequence[Member]
    normalise: bool = False

    def __post_init__(self) -> None:
        if len({member.separator.sample_rate_hz for member in self.members}) != 1:
            raise InputError("ensemble.members: expected at least one, all at one sampling rate")

    @property
    def sample_rate_hz(self) -> int:
        """That of its members."""
        return self.members[0].separator.sample_rate_hz

    @property
    def weights(self) -> dict[str, str]:
        """Those of its members."""
        return {
            path: digest
            for member in self.members
            for path, digest in member.separator.weights.items()
        }

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`; also, that each instrument has weights.

        Raises:
            InputError: one has none.
        """
        sources = list(sources)
        for instrument in dict.fromkeys(source.instrument for source in sources):
            if (total := self._total(instrument)) <= 0:
                raise InputError(f"ensemble.members: weights for {instrument} sum to {total:g}")
        for member in self.members:
            member.separator.prepare(
                source for source in sources if member.weight_of(source.instrument)
            )

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`. Members whose weight is zero for every source are left alone."""
        stems = {source_id: np.zeros_like(mixture) for source_id in sources}
        for member in self.members:
            weights = {key: member.weight_of(source.instrument) for key, source in sources.items()}
            if not any(weights.values()):
                continue
            for key, estimate in member.separator.separate(mixture, sources).items():
                stems[key] += np.float32(weights[key]) * estimate
        if self.normalise:
            for key, source in sources.items():
                stems[key] /= np.float32(self._total(source.instrument))
        return stems

    def _total(self, instrument: str) -> float:
        return sum(member.weight_of(instrument) for member in self.members)
