"""Fits the weights of an ensemble of separators by non-negative least squares.

Each separator of the ensemble is called a member. Each member has a weight for each instrument in
each frequency band. Each estimate is split into bands. The estimate of the ensemble is the sum,
over all members m and all bands b, of w[m, b] times band b of the estimate of member m. The weights
with the smallest squared error depend on the stems only through sums of products. The sums of
products are accumulated over tracks, so that memory does not grow with the data. Weights are not
negative and need not sum to 1. If the estimates of an instrument have large errors in a band, the
weights sum to less than 1 and attenuate this band, as a Wiener gain does.

In the fit, soft and loud sources have the same importance. A prior keeps the weights of all members
close to equal weights. If an instrument plays in only a few tracks, least squares without this
prior would overfit: the error of one member would cancel the error of another member in these
tracks, but not in other tracks. The strength of the prior is chosen by leave-one-out
cross-validation over tracks.
"""

from collections.abc import Sequence
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
    """Holds the sums that the least squares fit needs.

    At each sample, the vector y contains the estimate of each member in each band, and the scalar s
    is the value of the stem. P is the sum of y y' over all samples, and q is the sum of y s. The
    estimates and the stem are scaled so that the stem has energy 1.
    """

    products: NDArray[np.float64]  # P
    correlations: NDArray[np.float64]  # q
    sources: int

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.products + other.products,
            self.correlations + other.correlations,
            self.sources + other.sources,
        )

    def __sub__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.products - other.products,
            self.correlations - other.correlations,
            self.sources - other.sources,
        )

    def error(self, weights: NDArray[np.float64]) -> float:
        """Return the energy of the error w' y - s.

        The energy is w' P w - 2 w' q + n, where n is the number of sources, because the energy of
        each stem s is scaled to 1.
        """
        w = weights.reshape(-1)
        return float(w @ self.products @ w - 2 * w @ self.correlations + self.sources)


@dataclass
class WeightFit:
    """Accumulates the sums for the fit of each instrument, and computes the weights.

    Args:
        members: number of estimates of each source.
        edges_hz: edges between the bands.
        sample_rate_hz: sampling rate of the signals.
        priors: candidates for the strength of the prior, relative to the data. If there are several
            candidates, the candidate with the smallest error on left-out tracks is used. All
            candidates must be above zero, so that members with equal estimates get equal weights.

    Raises:
        InputError: there are no priors, or a prior is not above zero.
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
        """Add a source to the sums; a silent source has no effect.

        Args:
            track: name of the track of the source.
            instrument: instrument of the source.
            estimates: list of estimates of the source, one array (2, samples) for each member.
            stem: ground truth stem of the source, an array (2, samples).
        """
        energy = np.square(stem, dtype=float).sum()
        if not energy:
            return
        parts = np.stack([band_split(e, self.edges_hz, self.sample_rate_hz) for e in estimates])
        # Reshape (members, bands, 2, samples) to (members * bands, 2 * samples).
        rows = parts.reshape(self.members * (len(self.edges_hz) + 1), -1)
        correlations = rows @ stem.reshape(-1).astype(float)
        sums = _Sums(rows @ rows.T / energy, correlations / energy, 1)
        tracks = self._sums.setdefault(instrument, {})
        tracks[track] = tracks[track] + sums if track in tracks else sums

    def weights(self) -> dict[str, NDArray[np.float64]]:
        """Return a dict from each instrument to its weights, an array (members, bands)."""
        prior = self.prior()
        return {
            instrument: self._solve(reduce(add, self._sums[instrument].values()), prior)
            for instrument in sorted(self._sums)
        }

    def prior(self) -> float:
        """Return the prior with the smallest error on left-out tracks.

        Raises:
            InputError: all stems are silent.
        """
        if not self._sums:
            raise InputError("all stems are silent, expected music on which weights can be fitted")
        if len(self.priors) == 1:
            return self.priors[0]
        return min(self.priors, key=self.left_out_error)

    def left_out_error(self, prior: float) -> float:
        """Return the mean over sources of the ratio of error energy to stem energy.

        The weights for a source are fitted on all tracks except the track of this source. If the
        instrument plays in no other track, all members have the same weight.
        """
        errors, sources = 0.0, 0
        for tracks in self._sums.values():
            total = reduce(add, tracks.values())
            for left_out in tracks.values():
                if len(tracks) > 1:
                    weights = self._solve(total - left_out, prior)
                else:
                    weights = np.full(len(left_out.correlations), 1 / self.members)
                errors += left_out.error(weights)
                sources += left_out.sources
        return errors / sources

    def _solve(self, sums: _Sums, prior: float) -> NDArray[np.float64]:
        """Minimise w' P w - 2 w' q + prior (w - a)' D (w - a) over w >= 0.

        All entries of the vector a are 1 / members, which are the weights of a plain average of the
        estimates. The diagonal of D holds the mean energy of the members' estimates in each band,
        so that the prior is equally strong in soft and loud bands. If L is the Cholesky factor of P
        + prior D, the minimum is the non-negative least squares solution of L' w = L^-1 (q + prior
        D a).
        """
        energy = np.diag(sums.products).reshape(self.members, -1).mean(0)  # (bands,)
        ridge = prior * np.tile(energy, self.members) + np.finfo(float).tiny
        factor = np.linalg.cholesky(sums.products + np.diag(ridge))
        target = np.linalg.solve(factor, sums.correlations + ridge / self.members)
        weights, _ = nnls(factor.T, target)
        return weights.reshape(self.members, -1)
