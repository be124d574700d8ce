"""Where the two channels' sound comes from: distributions of the ratio of their spectra.

A source that stays in its place reaches the two channels with one ratio of levels and phases in all
frames of a bin. That direction has a complex angular central Gaussian distribution (Ito, Araki and
Nakatani 2016, "Complex angular central Gaussian mixture model for directional statistics in
mask-based microphone array signal processing", EUSIPCO), and expectation-maximisation sharpens
shares of the sources where directions differ and leaves them where they do not.

A bin of its own knows the room, but has few frames to learn it from, and in many the source has no
partial; a bin and its neighbours together know the direct sound alone, but well. So likelihoods
with :data:`NEIGHBOURS` near and far are averaged. Where a source has half of a bin, that bin's
direction is half another's: bins count by the square of the share.

Shapes: S sources, F bins, K frames.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

NEIGHBOURS = (0, 10, 100, 400)
"""Bins on either side whose directions count as one: none to 2.2 kHz with frames of 186 ms."""

SPREAD = 0.05
"""Share of every distribution that comes from all around, as reverberation does."""


def direction_likelihoods(
    spectra: Tensor, prior: Tensor, iterations: int, weight: float = 1.0
) -> Tensor:
    """How well each source's directions explain each bin.

    Args:
        spectra: of the mixture, complex (..., 2, F, K).
        prior: logarithm of each source's share without directions, (..., S, F, K).
        iterations: how often directions are estimated anew.
        weight: how much directions count against the prior in between.

    Returns:
        logarithm of the likelihoods, up to a constant for each bin, (..., S, F, K); zero for no
        iterations.
    """
    if not iterations:
        return torch.zeros_like(prior)
    moments = learn_directions(spectra, prior, iterations, weight)
    return likelihood_of_moments(direction_parts(spectra).unsqueeze(-4), moments)


def learn_directions(
    spectra: Tensor, prior: Tensor, iterations: int, weight: float = 1.0
) -> Tensor:
    """Fit each source's distributions by expectation-maximisation over all frames.

    Args:
        spectra: of the mixture, complex (..., 2, F, K).
        prior: logarithm of each source's share without directions, (..., S, F, K).
        iterations: how often the distributions are estimated, at least once.
        weight: how much directions count against the prior in between.

    Returns:
        moments of the distributions, (..., S, F, 4), see :func:`direction_moments`.
    """
    level = spectra.abs().square().sum(-3, keepdim=True).sqrt()  # loud bins have clear directions
    parts = direction_parts(spectra).unsqueeze(-4)
    moments = direction_moments(parts, level * prior.softmax(-3).square())
    for _ in range(iterations - 1):
        shares = (prior + weight * likelihood_of_moments(parts, moments)).softmax(-3)
        moments = direction_moments(parts, level * shares.square())
    return moments


def direction_parts(spectra: Tensor) -> Tensor:
    """What tells a bin's direction, whatever its level: complex (..., 2, F, K) -> (..., 4, F, K).

    Shares of the power of either channel, real and imaginary part of the first times the second's
    conjugate; zero where there is silence.
    """
    left, right = spectra.unbind(-3)
    a, b, c, d = left.real, left.imag, right.real, right.imag
    parts = torch.stack((a * a + b * b, c * c + d * d, a * c + b * d, b * c - a * d), -3)
    total = parts[..., :2, :, :].sum(-3, keepdim=True)
    return parts / total.where(total > 0, 1)


def direction_likelihood(parts: Tensor, weight: Tensor) -> Tensor:
    """Logarithm of the likelihood of each bin's direction by a source's distribution.

    The distribution's matrix B is the mean of z z^H over the frames, weighted; the density is
    det(B)^-1 (z^H B^-1 z)^-2, up to a constant.

    Args:
        parts: (..., 4, F, K), see :func:`direction_parts`.
        weight: how much each bin counts for the source, (..., F, K); further dimensions as of
            several sources are broadcast.

    Returns:
        as `weight`, the mean of those with all :data:`NEIGHBOURS`.
    """
    return likelihood_of_moments(parts, direction_moments(parts, weight))


def direction_moments(parts: Tensor, weight: Tensor) -> Tensor:
    """Sums of a mixture's directions over all frames, from which a source's distributions follow.

    Args:
        parts: (..., 4, F, K), see :func:`direction_parts`.
        weight: how much each bin counts for the source, (..., F, K).

    Returns:
        (..., F, 4).
    """
    return torch.stack([(one * weight).sum(-1) for one in parts.unbind(-3)], -1)


def likelihood_of_moments(parts: Tensor, moments: Tensor) -> Tensor:
    """:func:`direction_likelihood` of distributions that are known already.

    Args:
        parts: (..., 4, F, K), of any frames.
        moments: (..., F, 4), see :func:`direction_moments`.

    Returns:
        (..., F, K).
    """
    sizes, distances = parts.new_zeros(()), torch.ones_like(parts[..., 0, :, :])
    for _, _, size, distance in _near_and_far(parts, moments):
        sizes = sizes + size.log()
        distances = distances * distance.clamp(min=1e-6)
    return -(sizes + 2 * distances.log()) / len(NEIGHBOURS)


def directions_near_and_far(parts: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """What :func:`direction_likelihood` is the mean of, and where to each side a source is.

    Args:
        parts: (4, F, K), see :func:`direction_parts`.
        moments: of each source, (S, F, 4), see :func:`direction_moments`.

    Returns:
        likelihoods with each of :data:`NEIGHBOURS`, (S, len(NEIGHBOURS), F, K); logarithm of the
        ratio of the source's power left to that right, (S, len(NEIGHBOURS), F).
    """
    likelihoods, sides = [], []
    for left, right, size, distance in _near_and_far(parts, moments):
        likelihoods.append(-(size.log() + 2 * distance.clamp(min=1e-6).log()))
        sides.append((left / right).log().squeeze(-1))
    return torch.stack(likelihoods, 1), torch.stack(sides, 1)


def _near_and_far(
    parts: Tensor, moments: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """B's power left and right, det(B), all (..., F, 1), and z^H B^-1 z (..., F, K), for each of
    :data:`NEIGHBOURS`."""
    ones = parts.unbind(-3)
    for neighbours in NEIGHBOURS:
        left, right, real, imaginary = sums_around(moments, neighbours).unbind(-1)
        scale = (left + right).where(left + right > 0, 1) / 2
        left, right = left / scale + SPREAD, right / scale + SPREAD
        real, imaginary = real / scale, imaginary / scale
        determinant = left * right - real.square() - imaginary.square()
        a, b, c, d, size = (x.unsqueeze(-1) for x in (left, right, real, imaginary, determinant))
        yield a, b, size, (b * ones[0] + a * ones[1] - 2 * (c * ones[2] + d * ones[3])) / size


def sums_around(sums: Tensor, neighbours: int) -> Tensor:
    """Sums over each bin and its neighbours: (..., F, N) -> (..., F, N)."""
    if not neighbours:
        return sums
    bins = sums.shape[-2]
    padded = torch.nn.functional.pad(sums.double(), (0, 0, neighbours + 1, neighbours)).cumsum(-2)
    return (padded[..., 2 * neighbours + 1 :, :] - padded[..., :bins, :]).to(sums.dtype)
