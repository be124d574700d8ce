"""Generalised Wiener filter: a step after any separator that makes estimates sum to the mixture.

Each source is a Gaussian whose power v(f, t) comes from its estimate and whose spatial covariance
R(f), a matrix of channels by channels, is the same in all frames. Given the mixture, the expected
value of source j is v_j R_j (sum_i v_i R_i)^-1 times the mixture; from these estimates v and R
follow anew, and so on (Duong, Vincent and Gribonval 2010, IEEE TASLP 18(7); Nugraha, Liutkus and
Vincent 2016, IEEE/ACM TASLP 24(9)). `norbert.expectation_maximization` is the same but for the
floor, see :data:`FLOOR`.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

WINDOW = 4096
"""Samples; 93 ms at 44.1 kHz, as Open-Unmix has it (Stoeter et al. 2019)."""

FLOOR = 1e-9
"""Share of the mixture's mean power that is added to the sources' covariances, so that their sum
has an inverse. Each source takes an equal part of it, so that the gains still sum to the identity;
norbert adds it to the sum alone, and what it removes from the mixture belongs to nobody."""


@dataclass(frozen=True)
class Wiener:
    """The section `separator.wiener`.

    Args:
        iterations: how often powers and covariances are estimated anew; 0: no filter.
    """

    iterations: Annotated[int, Field(ge=0)] = 0


def wiener_filter(mixture: Tensor, estimates: Tensor, iterations: int) -> Tensor:
    """Expected values of the sources given the mixture, by expectation-maximisation.

    Args:
        mixture: complex (2, bins, frames).
        estimates: complex (sources, 2, bins, frames), to start from.
        iterations: how often powers and covariances follow from estimates and these from them.

    Returns:
        as `estimates`; their sum is the mixture.
    """
    given = mixture.dtype
    # In single precision so low a floor is lost beside what it is added to.
    mixture, estimates = mixture.to(torch.complex128), estimates.to(torch.complex128)
    floor = FLOOR * mixture.abs().square().mean() / len(estimates)
    # A mixture of nothing has no mean power; any floor shares it out.
    floor = floor if floor > 0 else torch.ones_like(floor)
    for _ in range(iterations):
        power = estimates.abs().square().mean(1)
        spatial = _spatial_covariance(estimates, power)
        total = _covariance(power[0], spatial[0], floor)
        for v, R in zip(power[1:], spatial[1:], strict=True):
            total = total + _covariance(v, R, floor)
        whitened = _solve(total, mixture)
        estimates = torch.stack(
            [
                torch.einsum("cdft,dft->cft", _covariance(v, R, floor), whitened)
                for v, R in zip(power, spatial, strict=True)
            ]
        )
    return estimates.to(given)


def _spatial_covariance(estimates: Tensor, power: Tensor) -> Tensor:
    """(sources, 2, 2, bins): outer products of the channels over all frames, by their power.

    Where a source is silent all along, the identity.
    """
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
