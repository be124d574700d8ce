"""`separator=ensemble`: a weighted sum of other separators' estimates, per instrument and band, or
their pool (:mod:`cmss.separators.pooling`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.scenes import Source
from cmss.separators.pooling import pooled, weights_of_bins
from cmss.separators.protocol import Separator, Stems
from cmss.separators.spectra import WINDOW, on_spectra
from cmss.transforms.band_split import band_responses, band_sum

Weight = float | Sequence[float]
"""One for all frequencies, or one for each band of the ensemble."""

_Weighed = tuple[Stems, Mapping[str, NDArray[np.float64]]]
"""A member's estimates, and the weights of its bands, both by source."""


@dataclass
class Member:
    """One separator of an ensemble.

    Args:
        separator: what estimates.
        weight: how much it counts: one weight, or one for each instrument by name.
    """

    separator: Separator
    weight: Weight | Mapping[str, Weight]

    def weight_of(self, instrument: str, bands: int) -> NDArray[np.float64]:
        """Its weight for an instrument, (bands,); one number serves all.

        Raises:
            InputError: none for this instrument, or another number of bands.
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
                "(one more than ensemble.edges_hz)"
            )
        return np.broadcast_to(values, (bands,))


@dataclass
class Ensemble:
    """Adds up its members' estimates of each source by their weights for its instrument.

    Args:
        members: at least one.
        normalise: divide by the sum of the weights, so that only their ratios matter.
        edges_hz: between bands that have weights of their own; by default there is one band.
        pool: linear, the weighted sum, or logarithmic, where only the ratios of weights matter.

    Raises:
        InputError: no members, members that differ in sampling rate, edges that do not rise, or
            another pool.
    """

    members: Sequence[Member]
    normalise: bool = False
    edges_hz: Sequence[float] = ()
    pool: str = "linear"

    def __post_init__(self) -> None:
        if self.pool not in ("linear", "logarithmic"):
            raise InputError(f"ensemble.pool: {self.pool!r}, expected linear or logarithmic")
        if len({member.separator.sample_rate_hz for member in self.members}) != 1:
            raise InputError("ensemble.members: expected at least one, all at one sampling rate")
        if any(edge <= 0 for edge in np.diff((0, *self.edges_hz))):
            raise InputError(
                f"ensemble.edges_hz: {list(self.edges_hz)}, expected rising frequencies"
            )

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
            if not (self._weights(instrument).sum(0) > 0).any():
                raise InputError(f"ensemble.members: the weights for {instrument} sum to 0")
        for member in self.members:
            member.separator.prepare(
                source for source in sources if self._weight(member, source.instrument).any()
            )

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`. Members whose weight is zero for every source are left alone."""
        weighed = [
            (member, {key: self._weight(member, s.instrument) for key, s in sources.items()})
            for member in self.members
        ]
        stems = {key: np.zeros_like(mixture) for key in sources}
        kept: list[_Weighed] = []
        for member, weights in weighed:
            if not any(weight.any() for weight in weights.values()):
                continue
            estimates = member.separator.separate(mixture, sources)
            if self.pool == "logarithmic":
                kept.append((estimates, weights))
                continue
            # Added at once, so that one member's estimates are in memory.
            for key, estimate in estimates.items():
                stems[key] += self._weighted(estimate, weights[key])
        return self._pooled(mixture, [*sources], kept) if kept else stems

    def _pooled(
        self, mixture: NDArray[np.float32], keys: Sequence[str], pairs: Sequence[_Weighed]
    ) -> Stems:
        hz = np.fft.rfftfreq(WINDOW, 1 / self.sample_rate_hz)
        weights = weights_of_bins(
            np.stack([[of_member[key] for key in keys] for _, of_member in pairs]),
            band_responses(hz, self.edges_hz),
        )
        step = partial(pooled, weights=torch.from_numpy(weights))
        signals = [of_member[key] for of_member, _ in pairs for key in keys]
        stems = on_spectra(step, mixture, signals, self.sample_rate_hz, WINDOW)
        return dict(zip(keys, stems, strict=True))

    def _weight(self, member: Member, instrument: str) -> NDArray[np.float64]:
        weight = member.weight_of(instrument, len(self.edges_hz) + 1)
        if not self.normalise:
            return weight
        total = self._weights(instrument).sum(0)
        return np.divide(weight, total, out=np.zeros_like(total), where=total > 0)

    def _weights(self, instrument: str) -> NDArray[np.float64]:
        """(members, bands)."""
        bands = len(self.edges_hz) + 1
        return np.stack([member.weight_of(instrument, bands) for member in self.members])

    def _weighted(
        self, estimate: NDArray[np.float32], weight: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        if (weight == weight[0]).all():
            return np.float32(weight[0]) * estimate
        return band_sum(estimate, weight, self.edges_hz, self.sample_rate_hz).astype(np.float32)
