"""Weights of an ensemble by non-negative least squares, per instrument and frequency band.

The estimate of a source is the sum over members m and bands b of w[m, b] times the part of
member m's estimate in band b. The weights that bring it nearest to the true stems in the
least-squares sense depend on the stems through sums of products alone, which are added up track by
track, so that memory does not grow with the data. Weights are not negative and need not sum to one:
less than one says how far the estimates of an instrument in a band can be trusted.

Each source counts as much as any other, however loud, and a prior holds the weights near the plain
average of the members: where few tracks speak for an instrument, least squares alone makes up for
one member's silence by another's surplus.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from cmss.transforms.band_split import band_split


@dataclass
class WeightFit:
    """Sums of products for each instrument, and the weights that follow from them.

    Args:
        members: number of estimates of each source.
        edges_hz: edges between the bands.
        sample_rate_hz: of the signals.
        prior: how much the plain average counts, as a share of the data; above zero, so that
            members that are alike share weight.
    """

    members: int
    edges_hz: Sequence[float]
    sample_rate_hz: int
    prior: float = 1e-6
    _products: dict[str, NDArray[np.float64]] = field(default_factory=dict, init=False)
    _wanted: dict[str, NDArray[np.float64]] = field(default_factory=dict, init=False)

    def add(
        self, instrument: str, estimates: Sequence[NDArray[np.floating]], stem: NDArray[np.floating]
    ) -> None:
        """Take a source into account; a silent one says nothing.

        Args:
            instrument: what plays it.
            estimates: each member's, (2, samples).
            stem: the true one, (2, samples).
        """
        energy = np.square(stem, dtype=float).sum()
        if not energy:
            return
        parts = np.stack([band_split(e, self.edges_hz, self.sample_rate_hz) for e in estimates])
        rows = parts.reshape(self.members * (len(self.edges_hz) + 1), -1)
        products = rows @ rows.T / energy
        wanted = rows @ stem.reshape(-1).astype(float) / energy
        self._products[instrument] = self._products.get(instrument, 0.0) + products
        self._wanted[instrument] = self._wanted.get(instrument, 0.0) + wanted

    def weights(self) -> dict[str, NDArray[np.float64]]:
        """(members, bands) for each instrument that was taken into account."""
        return {
            instrument: self._solve(self._products[instrument], self._wanted[instrument])
            for instrument in sorted(self._products)
        }

    def _solve(
        self, products: NDArray[np.float64], wanted: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Minimise w' P w - 2 w' q + prior (w - a)' D (w - a) over w >= 0, a the plain average.

        D has, for each band, the mean energy of the members' estimates in it, so that the prior
        weighs as much in soft bands as in loud ones. By the Cholesky factor L of P + prior D:
        |L' w - L^-1 (q + prior D a)|.
        """
        energy = np.diag(products).reshape(self.members, -1).mean(0)
        ridge = self.prior * np.tile(energy, self.members) + np.finfo(float).tiny
        factor = np.linalg.cholesky(products + np.diag(ridge))
        weights, _ = nnls(factor.T, np.linalg.solve(factor, wanted + ridge / self.members))
        return weights.reshape(self.members, -1)
