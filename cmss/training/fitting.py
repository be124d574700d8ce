"""Weights of an ensemble by non-negative least squares, per instrument and frequency band.

The estimate of a source is the sum over members m and bands b of w[m, b] times the part of
member m's estimate in band b. The weights that bring it nearest to the true stems in the
least-squares sense depend on the stems through sums of products alone, which are added up track by
track, so that memory does not grow with the data. Weights are not negative and need not sum to one:
less than one says how far the estimates of an instrument in a band can be trusted.

Each source counts as much as any other, however loud, and a prior holds the weights near the plain
average of the members: where few tracks speak for an instrument, least squares alone makes up for
one member's silence by another's surplus. How strong a prior is best is asked of the tracks: with
each left out in turn, its stems are estimated by the weights of the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from cmss.errors import InputError
from cmss.transforms.band_split import band_split


@dataclass(frozen=True)
class _Sums:
    """What least squares needs of some sources: P = sum of y y' and q = sum of y s over samples,
    y the members' estimates in each band and s the stem, of energy one."""

    products: NDArray[np.float64]
    wanted: NDArray[np.float64]
    sources: int

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.products + other.products, self.wanted + other.wanted, self.sources + other.sources
        )

    def __sub__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.products - other.products, self.wanted - other.wanted, self.sources - other.sources
        )

    def error(self, weights: NDArray[np.float64]) -> float:
        """Energy of the error of the estimates."""
        w = weights.reshape(-1)
        return float(w @ self.products @ w - 2 * w @ self.wanted + self.sources)


@dataclass
class WeightFit:
    """Sums of products for each instrument, and the weights that follow from them.

    Args:
        members: number of estimates of each source.
        edges_hz: edges between the bands.
        sample_rate_hz: of the signals.
        priors: how much the plain average counts, as a share of the data; above zero, so that
            members that are alike share weight. Of several, the one is taken whose weights are
            best on tracks that they were not fitted on.

    Raises:
        InputError: no priors, or one that is not above zero.
    """

    members: int
    edges_hz: Sequence[float]
    sample_rate_hz: int
    priors: Sequence[float] = (1e-6,)
    _sums: dict[str, dict[str, _Sums]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if not self.priors or min(self.priors) <= 0:
            raise InputError(f"priors: {list(self.priors)}, expected numbers above 0")

    def add(
        self,
        track: str,
        instrument: str,
        estimates: Sequence[NDArray[np.floating]],
        stem: NDArray[np.floating],
    ) -> None:
        """Take a source into account; a silent one says nothing.

        Args:
            track: where it plays.
            instrument: what plays it.
            estimates: each member's, (2, samples).
            stem: the true one, (2, samples).
        """
        energy = np.square(stem, dtype=float).sum()
        if not energy:
            return
        parts = np.stack([band_split(e, self.edges_hz, self.sample_rate_hz) for e in estimates])
        rows = parts.reshape(self.members * (len(self.edges_hz) + 1), -1)
        wanted = rows @ stem.reshape(-1).astype(float)
        sums = _Sums(rows @ rows.T / energy, wanted / energy, 1)
        tracks = self._sums.setdefault(instrument, {})
        tracks[track] = tracks[track] + sums if track in tracks else sums

    def weights(self) -> dict[str, NDArray[np.float64]]:
        """(members, bands) for each instrument that was taken into account."""
        prior = self.prior()
        return {
            instrument: self._solve(_total(self._sums[instrument]), prior)
            for instrument in sorted(self._sums)
        }

    def prior(self) -> float:
        """That of the priors whose weights have the least error on tracks left out.

        Raises:
            InputError: all stems are silent.
        """
        if not self._sums:
            raise InputError("all stems are silent, expected music that weights can be fitted on")
        if len(self.priors) == 1:
            return self.priors[0]
        return min(self.priors, key=self.error_on_others)

    def error_on_others(self, prior: float) -> float:
        """Energy of the errors of all sources, each with the weights of all tracks but its own.

        As a share of the stems' energy, all sources counting alike. An instrument of one track has
        the plain average there.
        """
        errors, sources = 0.0, 0
        for tracks in self._sums.values():
            total = _total(tracks)
            for own in tracks.values():
                if len(tracks) > 1:
                    weights = self._solve(total - own, prior)
                else:
                    weights = np.full(len(own.wanted), 1 / self.members)
                errors += own.error(weights)
                sources += own.sources
        return errors / sources

    def _solve(self, sums: _Sums, prior: float) -> NDArray[np.float64]:
        """Minimise w' P w - 2 w' q + prior (w - a)' D (w - a) over w >= 0, a the plain average.

        D has, for each band, the mean energy of the members' estimates in it, so that the prior
        weighs as much in soft bands as in loud ones. By the Cholesky factor L of P + prior D:
        |L' w - L^-1 (q + prior D a)|.
        """
        energy = np.diag(sums.products).reshape(self.members, -1).mean(0)
        ridge = prior * np.tile(energy, self.members) + np.finfo(float).tiny
        factor = np.linalg.cholesky(sums.products + np.diag(ridge))
        weights, _ = nnls(factor.T, np.linalg.solve(factor, sums.wanted + ridge / self.members))
        return weights.reshape(self.members, -1)


def _total(tracks: Mapping[str, _Sums]) -> _Sums:
    return reduce(add, tracks.values())
