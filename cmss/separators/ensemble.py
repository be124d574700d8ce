"""Implements `separator=ensemble`, which combines the estimates of several separators.

The estimates are combined either by a weighted sum, with a weight for each instrument and frequency
band, or by a log-opinion pool (:mod:`cmss.separators.pooling`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.errors import InputError, one_of
from cmss.scenes import Source
from cmss.separators.pooling import pooled, weights_of_bins
from cmss.separators.protocol import Separator, Stems
from cmss.separators.spectra import WINDOW
from cmss.transforms.band_split import band_responses, band_sum

Weight = float | Sequence[float]
"""A weight for all frequencies, or a sequence with a weight for each frequency band."""


@dataclass
class Member:
    """Holds a separator of an ensemble and the weight of this separator.

    Args:
        separator: separator that computes the estimates.
        weight: a weight for all instruments, or a dict from each instrument to its weight.
    """

    separator: Separator
    weight: Weight | Mapping[str, Weight]

    def weight_of(self, instrument: str, bands: int) -> NDArray[np.float64]:
        """Return the weights of this separator for an instrument, an array of shape (bands,).

        Raises:
            InputError: there is no weight for this instrument, or the number of weights does not
                match the number of bands.
        """
        weight = self.weight
        if isinstance(weight, Mapping):
            if instrument not in weight:
                raise InputError(f"ensemble.members: no weight for {instrument}, expected a number")
            weight = weight[instrument]
        values = np.atleast_1d(np.asarray(weight, float))
        if len(values) not in (1, bands):
            raise InputError(
                f"ensemble.members: {len(values)} weights for {instrument}, expected 1 or {bands} "
                "(one for each band, see ensemble.edges_hz)"
            )
        return np.broadcast_to(values, (bands,))


@dataclass
class Ensemble:
    """Combines the estimates of several separators with weights that depend on the instrument.

    Args:
        members: separators of the ensemble with their weights; there must be at least one
            separator.
        normalise: whether the weights are divided by their sum over the separators.
        edges_hz: frequencies at which the bands of the weights meet; if empty, there is a single
            band.
        pool: method of combination: `linear` for a weighted sum, or `logarithmic` for a log-opinion
            pool. The weights of a log-opinion pool are always normalised.

    Raises:
        InputError: there are no separators, the sampling rates of the separators differ, the edges
            are not ascending, or the pool is unknown.
    """

    members: Sequence[Member]
    normalise: bool = False
    edges_hz: Sequence[float] = ()
    pool: str = "linear"

    def __post_init__(self) -> None:
        if self.pool not in ("linear", "logarithmic"):
            known = ("linear", "logarithmic")
            raise InputError(f"ensemble.pool: {self.pool!r}, {one_of(known, self.pool)}")
        if len({member.separator.sample_rate_hz for member in self.members}) != 1:
            raise InputError(
                "ensemble.members: expected at least one separator, and the same sampling rate for "
                "all separators"
            )
        if any(edge <= 0 for edge in np.diff((0, *self.edges_hz))):
            raise InputError(
                f"ensemble.edges_hz: {list(self.edges_hz)}, expected ascending frequencies"
            )

    @property
    def sample_rate_hz(self) -> int:
        """Sampling rate of the separators in the ensemble."""
        return self.members[0].separator.sample_rate_hz

    @property
    def weights(self) -> dict[str, str]:
        """Dict from each weight file of all separators to its SHA-256 digest."""
        return {
            path: digest
            for member in self.members
            for path, digest in member.separator.weights.items()
        }

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`.

        Raises:
            InputError: the weights for an instrument sum to 0, or a separator cannot be loaded.
        """
        sources = list(sources)
        for instrument in dict.fromkeys(source.instrument for source in sources):
            if not (self._weights(instrument).sum(0) > 0).any():
                raise InputError(f"ensemble.members: the weights for {instrument} sum to 0")
        for member in self.members:
            member.separator.prepare(
                source for source in sources if self._weight(member, source.instrument).any()
            )

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`; separators with a weight of zero for all sources are skipped."""
        weighed = [
            (member.separator, weights)
            for member in self.members
            if (weights := self._of_sources(member, sources)).any()
        ]
        if self.pool == "logarithmic" and weighed:
            return self._pooled(mixture, sources, weighed)
        stems = {key: np.zeros_like(mixture) for key in sources}
        for separator, weights in weighed:
            # Each separator's estimates are added before the next separator is applied, so that
            # only the estimates of a single separator are in memory.
            estimates = _estimates(separator, mixture, sources)
            for stem, estimate, weight in zip(stems.values(), estimates, weights, strict=True):
                stem += self._weighted(estimate, weight)
        return stems

    def _pooled(
        self,
        mixture: NDArray[np.float32],
        sources: Mapping[str, Source],
        weighed: Sequence[tuple[Separator, NDArray[np.float64]]],
    ) -> Stems:
        hz = np.fft.rfftfreq(WINDOW, 1 / self.sample_rate_hz)
        weights = np.stack([of_sources for _, of_sources in weighed])  # (M, S, bands)
        at_bins = weights_of_bins(weights, band_responses(hz, self.edges_hz))
        estimates = (_estimates(separator, mixture, sources) for separator, _ in weighed)
        return dict(zip(sources, pooled(mixture, estimates, at_bins), strict=True))

    def _of_sources(self, member: Member, sources: Mapping[str, Source]) -> NDArray[np.float64]:
        """Return the weights of a separator for each source, an array of shape (S, bands)."""
        return np.stack([self._weight(member, source.instrument) for source in sources.values()])

    def _weight(self, member: Member, instrument: str) -> NDArray[np.float64]:
        weight = member.weight_of(instrument, len(self.edges_hz) + 1)
        if not self.normalise:
            return weight
        total = self._weights(instrument).sum(0)
        return np.divide(weight, total, out=np.zeros_like(total), where=total > 0)

    def _weights(self, instrument: str) -> NDArray[np.float64]:
        """Return the weights of all separators, an array of shape (members, bands)."""
        bands = len(self.edges_hz) + 1
        return np.stack([member.weight_of(instrument, bands) for member in self.members])

    def _weighted(
        self, estimate: NDArray[np.float32], weight: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        if (weight == weight[0]).all():
            return np.float32(weight[0]) * estimate
        return band_sum(estimate, weight, self.edges_hz, self.sample_rate_hz).astype(np.float32)


def _estimates(
    separator: Separator, mixture: NDArray[np.float32], sources: Mapping[str, Source]
) -> list[NDArray[np.float32]]:
    """Return the estimate (2, samples) of each source.

    If the separator returns no stem for a source, the estimate of this source is silent.
    """
    stems = separator.separate(mixture, sources)
    return [stems[key] if key in stems else np.zeros_like(mixture) for key in sources]
