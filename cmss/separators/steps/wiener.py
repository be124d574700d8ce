"""`name: wiener`: the generalised Wiener filter.

Each source is a Gaussian whose power v(f, t) comes from its estimate and whose spatial covariance
R(f), a matrix of channels by channels, is the same in all frames. Given the mixture, the expected
value of source j is v_j R_j (sum_i v_i R_i)^-1 times the mixture; from these estimates v and R
follow anew, and so on (Duong, Vincent and Gribonval 2010, IEEE TASLP 18(7); Nugraha, Liutkus and
Vincent 2016, IEEE/ACM TASLP 24(9)). `norbert.expectation_maximization` is the same but for the
floor, see :data:`FLOOR`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmss.separators.steps.step import Untrained

WINDOW = 4096
"""Samples; 93 ms at 44.1 kHz, as Open-Unmix has it (Stoeter et al. 2019)."""

FLOOR = 1e-9
"""Share of the mixture's mean power that is added to the sources' covariances, so that their sum
has an inverse. Each source takes an equal part of it, so that the gains still sum to the identity;
norbert adds it to the sum alone, so that its estimates sum to less than the mixture."""


@dataclass(frozen=True)
class Statistics:
    """What the filter learns of a recording.

    Args:
        floor: power that is added to each source's covariance.
        spatial: covariances (S, 2, 2, F) of each iteration.
    """

    floor: Tensor
    spatial: Sequence[Tensor]


@dataclass(frozen=True)
class Wiener(Untrained):
    """Expected values of the sources given the mixture, by expectation-maximisation.

    Args:
        iterations: how often powers and spatial covariances are estimated.
    """

    iterations: Annotated[int, Field(ge=1, le=1000)] = 1

    looks_ahead = True

    def window_samples(self, sample_rate_hz: int) -> int:  # noqa: ARG002
        """93 ms at 44.1 kHz."""
        return WINDOW

    def context_s(self, sample_rate_hz: int) -> float:
        """Bins are independent once the covariances are known: the length of a window."""
        return WINDOW / sample_rate_hz

    def learn(self, mixture: Tensor, estimates: Tensor) -> Statistics:
        """The covariances from all frames; see :class:`cmss.separators.steps.step.Step`."""
        # In single precision so low a floor is lost beside the covariance that it is added to.
        mixture, estimates = mixture.to(torch.complex128), estimates.to(torch.complex128)
        floor = FLOOR * mixture.abs().square().mean() / len(estimates)
        # A silent mixture has no mean power; any floor divides it.
        floor = floor if floor > 0 else torch.ones_like(floor)
        spatial = [_spatial_covariance(estimates)]
        for _ in range(self.iterations - 1):
            estimates = _expected(mixture, estimates, spatial[-1], floor)
            spatial.append(_spatial_covariance(estimates))
        return Statistics(floor, spatial)

    def apply(
        self,
        mixture: Tensor,
        estimates: Tensor,
        learned: Statistics,
        instruments: Sequence[str],  # noqa: ARG002
    ) -> Tensor:
        """See :class:`cmss.separators.steps.step.Step`."""
        given = mixture.dtype
        mixture, estimates = mixture.to(torch.complex128), estimates.to(torch.complex128)
        for spatial in learned.spatial:
            estimates = _expected(mixture, estimates, spatial, learned.floor)
        return estimates.to(given)


def _expected(mixture: Tensor, estimates: Tensor, spatial: Tensor, floor: Tensor) -> Tensor:
    """Expected values given the mixture, powers from the estimates: (S, 2, F, K)."""
    power = _power(estimates)
    total = _covariance(power[0], spatial[0], floor)
    for v, R in zip(power[1:], spatial[1:], strict=True):
        total = total + _covariance(v, R, floor)
    whitened = _solve(total, mixture)
    # Covariances are computed again rather than kept: each is four times as large as the mixture.
    return torch.stack(
        [
            torch.einsum("cdft,dft->cft", _covariance(v, R, floor), whitened)
            for v, R in zip(power, spatial, strict=True)
        ]
    )


def _power(estimates: Tensor) -> Tensor:
    """Mean power of the channels: (S, F, K)."""
    return estimates.abs().square().mean(1)


def _spatial_covariance(estimates: Tensor) -> Tensor:
    """Outer products of the channels over all frames, by their power: (S, 2, 2, F).

    The identity where a source is silent throughout.
    """
    power = _power(estimates)
    products = torch.einsum("scft,sdft->scdf", estimates, estimates.conj())
    total = power.sum(-1)[:, None, None]
    identity = torch.eye(2, dtype=products.dtype)[None, :, :, None]
    return torch.where(total > 0, products / total.where(total > 0, 1), identity)


def _covariance(power: Tensor, spatial: Tensor, floor: Tensor) -> Tensor:
    """(2, 2, bins, frames): power (bins, frames) times spatial (2, 2, bins), and the floor."""
    identity = torch.eye(2, dtype=spatial.dtype)[:, :, None, None]
    return power * spatial[..., None] + floor * identity


def _solve(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Solutions (2, ...) of 2 by 2 equations, matrices (2, 2, ...) and vectors (2, ...)."""
    (a, b), (c, d) = matrices
    x, y = vectors
    return torch.stack((d * x - b * y, a * y - c * x)) / (a * d - b * c)
