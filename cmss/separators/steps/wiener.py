"""Implements `name: wiener`, the generalised Wiener filter.

Each source is modelled as a Gaussian random variable. The power v(f, t) of a source is the power of
its estimate. The spatial covariance R(f) of a source is a matrix of shape (channels, channels) that
is constant over time. Given the mixture, the expected value of source j is the matrix v_j R_j
(sum_i v_i R_i)^-1 times the mixture. In further iterations, v and R are computed from the expected
values of the previous iteration (Duong, Vincent and Gribonval 2010, IEEE TASLP 18(7); Nugraha,
Liutkus and Vincent 2016, IEEE/ACM TASLP 24(9)). The results equal those of
`norbert.expectation_maximization` except for the effect of :data:`FLOOR`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmss.separators.steps.step import Untrained
from cmss.transforms.tiles import channels_power

WINDOW = 4096
"""Length of the window in samples, 93 ms at 44.1 kHz, as in Open-Unmix (Stoeter et al. 2019)."""

FLOOR = 1e-9
"""Fraction of the mixture's mean power that is added to the sum of the sources' covariances.

This constant makes the sum of the covariances invertible. The constant is divided equally among the
sources, so that the sum of the gains is still the identity matrix. In contrast, norbert adds the
constant only to the sum, so that the sum of norbert's estimates is less than the mixture.
"""


@dataclass(frozen=True)
class Statistics:
    """Holds the statistics of a recording that the filter needs.

    Args:
        floor: power that is added to the diagonal of each source's covariance.
        spatial: spatial covariances of each iteration, arrays of shape (S, 2, 2, F).
    """

    floor: Tensor
    spatial: Sequence[Tensor]


@dataclass(frozen=True)
class Wiener(Untrained):
    """Computes the expected values of the sources given the mixture.

    Args:
        iterations: number of times that powers and spatial covariances are estimated.
    """

    iterations: Annotated[int, Field(ge=1, le=1000)] = 1

    looks_ahead = True

    def window_samples(self, sample_rate_hz: int) -> int:  # noqa: ARG002
        """See :class:`cmss.separators.steps.step.Step`; the window lasts 93 ms at 44.1 kHz."""
        return WINDOW

    def context_s(self, sample_rate_hz: int) -> float:
        """See :class:`cmss.separators.steps.step.Step`."""
        # A single window suffices, because frames are independent once the spatial covariances are
        # known.
        return WINDOW / sample_rate_hz

    def learn(self, mixture: Tensor, estimates: Tensor) -> Statistics:
        """Estimate the spatial covariances of each iteration from all frames."""
        # In single precision, the floor would be lost in the rounding of the sum.
        mixture, estimates = mixture.to(torch.complex128), estimates.to(torch.complex128)
        floor = FLOOR * mixture.abs().square().mean() / len(estimates)
        # If the mixture is silent, the floor is arbitrary but must be positive.
        floor = floor if floor > 0 else torch.ones_like(floor)
        spatial = [_spatial_covariance(estimates)]
        for _ in range(self.iterations - 1):
            estimates = _expected(mixture, estimates, spatial[-1], floor)
            spatial.append(_spatial_covariance(estimates))
        return Statistics(floor, spatial)

    def apply(self, mixture: Tensor, estimates: Tensor, learned: Statistics) -> Tensor:
        """See :class:`cmss.separators.steps.step.Step`."""
        given = mixture.dtype
        mixture, estimates = mixture.to(torch.complex128), estimates.to(torch.complex128)
        for spatial in learned.spatial:
            estimates = _expected(mixture, estimates, spatial, learned.floor)
        return estimates.to(given)


def _expected(mixture: Tensor, estimates: Tensor, spatial: Tensor, floor: Tensor) -> Tensor:
    """Return the expected values (S, 2, F, K) of the sources, given the mixture."""
    power = channels_power(estimates) / 2  # (S, F, K)
    total = _covariance(power[0], spatial[0], floor)
    for v, R in zip(power[1:], spatial[1:], strict=True):
        total = total + _covariance(v, R, floor)
    whitened = _solve(total, mixture)  # (2, F, K)
    # The covariances are not stored but computed again, because the covariance of each source has
    # twice as many entries as the mixture.
    return torch.stack(
        [
            torch.einsum("cdft,dft->cft", _covariance(v, R, floor), whitened)
            for v, R in zip(power, spatial, strict=True)
        ]
    )


def _spatial_covariance(estimates: Tensor) -> Tensor:
    """Return the spatial covariance of each source, an array of shape (S, 2, 2, F).

    Let the vector x contain both channels of a source in a bin. The spatial covariance is the sum
    of x x^H over all frames, divided by the sum of |x|^2 / 2 over all frames. If the source is
    silent in all frames of a bin, the spatial covariance in this bin is the identity matrix.
    """
    power = channels_power(estimates) / 2  # (S, F, K)
    products = torch.einsum("scft,sdft->scdf", estimates, estimates.conj())
    total = power.sum(-1)[:, None, None]
    identity = torch.eye(2, dtype=products.dtype)[None, :, :, None]
    return torch.where(total > 0, products / total.where(total > 0, 1), identity)


def _covariance(power: Tensor, spatial: Tensor, floor: Tensor) -> Tensor:
    """Return the covariance (2, 2, F, K) of a source.

    The covariance is the power (F, K) times the spatial covariance (2, 2, F), plus the floor times
    the identity matrix.
    """
    identity = torch.eye(2, dtype=spatial.dtype)[:, :, None, None]
    return power * spatial[..., None] + floor * identity


def _solve(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Solve systems of two equations by Cramer's rule.

    Args:
        matrices: matrices of the systems, an array of shape (2, 2, ...).
        vectors: right-hand sides of the systems, an array of shape (2, ...).

    Returns:
        The solutions, an array of shape (2, ...).
    """
    (a, b), (c, d) = matrices
    x, y = vectors
    return torch.stack((d * x - b * y, a * y - c * x)) / (a * d - b * c)
