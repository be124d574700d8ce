"""Who plays from where: a step after any separator that sorts the mixture's bins by direction.

Every player has a place, and what reaches the two channels from one place has one direction, a
ratio of levels and phases, in all frames of a bin. A separator that looks at timbre guides a model
of these directions: each source has a complex angular central Gaussian distribution in each bin
(Ito, Araki and Nakatani 2016, "Complex angular central Gaussian mixture model for directional
statistics in mask-based microphone array signal processing", EUSIPCO), whose prior probability at
each time and frequency is the source's share of the estimates, as in guided source separation
(Boeddeker et al. 2018, CHiME-5). Expectation-maximisation sharpens the shares where directions
differ and leaves them where they do not.

A bin of its own knows the room, but has few frames to learn it from; a bin and its neighbours
together know the direct sound alone, but well. Each counts for half.

Shapes: S sources, F bins, K frames.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

WINDOW = 8192
"""Samples; 186 ms at 44.1 kHz, longer than the first reflections of a room take."""

NEIGHBOURS = (0, 40)
"""Bins on either side whose directions count as one: none, and 215 Hz, in which the phase between
two microphones 25 cm apart turns by a sixth of a circle at most."""

SPREAD = 0.02
"""Share of every distribution that comes from all around, as reverberation does."""

DOUBT = 1e-4
"""Least prior probability, of a source that the separator does not hear."""


@dataclass(frozen=True)
class Spatial:
    """The section `separator.spatial`.

    Args:
        iterations: how often directions are estimated anew; 0: no such step.
        weight: how much directions count against the separator's estimates.
    """

    iterations: Annotated[int, Field(ge=0)] = 0
    weight: Annotated[float, Field(ge=0)] = 1.0


def sort_by_direction(mixture: Tensor, estimates: Tensor, settings: Spatial) -> Tensor:
    """Shares of the mixture that follow from the estimates and the directions they come from.

    Args:
        mixture: complex (2, F, K).
        estimates: complex (S, 2, F, K).
        settings: how often and how much.

    Returns:
        as `estimates`; their sum is the mixture, and a source that is silent in the estimates
        stays silent.
    """
    power = mixture.abs().square()
    level = power.sum(0).sqrt()  # loud bins have the clearest direction
    power = power / level.square().where(level > 0, 1)
    cross = mixture[0] * mixture[1].conj() / level.square().where(level > 0, 1)
    prior = log_shares(estimates)
    shares = prior.softmax(0)
    for _ in range(settings.iterations):
        likelihood = torch.stack([_log_likelihood(power, cross, level * one) for one in shares])
        shares = (prior + settings.weight * likelihood).softmax(0)
    return shares.unsqueeze(1) * mixture


def log_shares(estimates: Tensor) -> Tensor:
    """Logarithm of each source's share of the magnitudes: complex (S, 2, F, K) -> (S, F, K)."""
    magnitude = estimates.abs().square().mean(1).sqrt()
    total = magnitude.sum(0)
    prior = (magnitude / total.where(total > 0, 1) + DOUBT).log()
    silent = magnitude.amax((1, 2), keepdim=True) == 0
    return prior.masked_fill(silent & ~silent.all(), -torch.inf)


def _log_likelihood(power: Tensor, cross: Tensor, weight: Tensor) -> Tensor:
    """Of each bin's direction z, up to a constant, by the distribution of bins weighted so.

    The distribution's matrix B is the mean of z z^H, and the density det(B)^-1 (z^H B^-1 z)^-2.

    Args:
        power: |z|^2 of both channels, (2, F, K).
        cross: z_1 z_2^*, complex (F, K).
        weight: (F, K).

    Returns:
        (F, K), the mean of those of all :data:`NEIGHBOURS`.
    """
    moments = torch.cat(((power * weight).sum(-1), torch.view_as_real((cross * weight).sum(-1)).T))
    total = torch.zeros_like(weight)
    for neighbours in NEIGHBOURS:
        left, right, real, imaginary = _around(moments, neighbours)
        scale = (left + right).where(left + right > 0, 1) / 2
        left, right = left / scale + SPREAD, right / scale + SPREAD
        real, imaginary = real / scale, imaginary / scale
        determinant = left * right - real.square() - imaginary.square()
        a, b, c, d, size = (x.unsqueeze(-1) for x in (left, right, real, imaginary, determinant))
        distance = (b * power[0] + a * power[1] - 2 * (c * cross.real + d * cross.imag)) / size
        total -= size.log() + 2 * distance.clamp(min=1e-6).log()
    return total / len(NEIGHBOURS)


def _around(sums: Tensor, neighbours: int) -> Tensor:
    """Sums over each bin and its neighbours: (N, F) -> (N, F)."""
    box = sums.new_ones(1, 1, 2 * neighbours + 1)
    return F.conv1d(sums.unsqueeze(1), box, padding=neighbours).squeeze(1)
