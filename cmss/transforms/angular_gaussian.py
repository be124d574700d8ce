"""Directions of arrival in stereo spectra, and the likelihood of each source given its directions.

A source at a fixed position reaches the two channels with the same ratio of levels and phases in
all frames of a bin. This direction is modelled by a complex angular central Gaussian distribution
(Ito, Araki and Nakatani 2016, "Complex angular central Gaussian mixture model for directional
statistics in mask-based microphone array signal processing", EUSIPCO). Expectation-maximisation
refines the masks of the sources where their directions differ, and leaves them unchanged where
directions are equal.

A single bin captures the room response, but has few frames, and in many of them the source has no
partial. A bin pooled with its neighbours captures only the direct sound, but estimates it reliably.
So log-likelihoods are averaged over several neighbourhoods, :data:`NEIGHBOURS`. If the mask of a
source is 0.5, the direction of the bin is half that of another source: bins are weighted by the
square of the mask.

Shapes: S sources, F bins, K frames.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

NEIGHBOURS = (0, 10, 100, 400)
"""Numbers of bins on either side over which directions are pooled, up to 2.2 kHz for frames of
186 ms."""

SPREAD = 0.05
"""Weight of a diffuse component in every distribution, which models reverberation."""


def direction_likelihoods(
    spectra: Tensor, prior: Tensor, iterations: int, weight: float = 1.0
) -> Tensor:
    """Compute the log-likelihood of each bin's direction under the distribution of each source.

    Args:
        spectra: of the mixture, complex (..., 2, F, K).
        prior: logarithm of each source's mask without directions, (..., S, F, K).
        iterations: number of times that the distributions are estimated.
        weight: weight of the log-likelihood, relative to the prior, between iterations.

    Returns:
        Log-likelihoods, up to a constant for each bin, (..., S, F, K); zero if `iterations` is 0.
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
        prior: logarithm of each source's mask without directions, (..., S, F, K).
        iterations: number of times that the distributions are estimated, at least 1.
        weight: weight of the log-likelihood, relative to the prior, between iterations.

    Returns:
        Moments of the distributions, (..., S, F, 4), see :func:`direction_moments`.
    """
    # Bins are weighted by their level, because the direction of a weak bin is noisy.
    level = spectra.abs().square().sum(-3, keepdim=True).sqrt()  # (..., 1, F, K)
    parts = direction_parts(spectra).unsqueeze(-4)
    moments = direction_moments(parts, level * prior.softmax(-3).square())
    for _ in range(iterations - 1):
        # E step: posterior masks of the sources. M step: moments under these masks.
        masks = (prior + weight * likelihood_of_moments(parts, moments)).softmax(-3)
        moments = direction_moments(parts, level * masks.square())
    return moments


def direction_parts(spectra: Tensor) -> Tensor:
    """Return the direction of each bin: complex (..., 2, F, K) -> real (..., 4, F, K).

    The parts are the powers of the left and the right channel, and the real and the imaginary part
    of left * conj(right), all divided by the total power. They are zero in silence.
    """
    left, right = spectra.unbind(-3)
    a, b, c, d = left.real, left.imag, right.real, right.imag
    parts = torch.stack((a * a + b * b, c * c + d * d, a * c + b * d, b * c - a * d), -3)
    total = parts[..., :2, :, :].sum(-3, keepdim=True)
    return parts / total.where(total > 0, 1)


def direction_likelihood(parts: Tensor, weight: Tensor) -> Tensor:
    """Compute the log-likelihood of each bin's direction under the distribution of a source.

    The density of a direction z is det(B)^-1 (z^H B^-1 z)^-2, up to a constant, where B is the
    weighted mean of z z^H over frames.

    Args:
        parts: (..., 4, F, K), see :func:`direction_parts`.
        weight: weight of each bin for the source, (..., F, K); further dimensions, such as several
            sources, are broadcast.

    Returns:
        (..., F, K), the mean of the log-likelihoods over :data:`NEIGHBOURS`.
    """
    return likelihood_of_moments(parts, direction_moments(parts, weight))


def direction_moments(parts: Tensor, weight: Tensor) -> Tensor:
    """Sum directions over all frames; these moments determine the distributions of a source.

    Args:
        parts: (..., 4, F, K), see :func:`direction_parts`.
        weight: weight of each bin for the source, (..., F, K).

    Returns:
        (..., F, 4).
    """
    # Part by part, because the product of all parts and sources would be large.
    return torch.stack([(part * weight).sum(-1) for part in parts.unbind(-3)], -1)


def likelihood_of_moments(parts: Tensor, moments: Tensor) -> Tensor:
    """Compute :func:`direction_likelihood` from moments instead of weights.

    Args:
        parts: (..., 4, F, K), of all or some frames.
        moments: (..., F, 4), see :func:`direction_moments`.

    Returns:
        (..., F, K).
    """
    log_determinants, distances = parts.new_zeros(()), torch.ones_like(parts[..., 0, :, :])
    for _, _, determinant, distance in _near_and_far(parts, moments):
        log_determinants = log_determinants + determinant.log()
        # Multiplied first, so that the logarithm is computed once for all neighbourhoods.
        distances = distances * distance.clamp(min=1e-6)
    return -(log_determinants + 2 * distances.log()) / len(NEIGHBOURS)


def directions_near_and_far(parts: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """Compute log-likelihoods and level differences separately for each of :data:`NEIGHBOURS`.

    Args:
        parts: (4, F, K), see :func:`direction_parts`.
        moments: of each source, (S, F, 4), see :func:`direction_moments`.

    Returns:
        Log-likelihoods (S, len(NEIGHBOURS), F, K), and logarithms of the ratio of the source's left
        to its right power (S, len(NEIGHBOURS), F).
    """
    likelihoods, sides = [], []
    for left, right, determinant, distance in _near_and_far(parts, moments):
        likelihoods.append(-(determinant.log() + 2 * distance.clamp(min=1e-6).log()))
        sides.append((left / right).log().squeeze(-1))
    return torch.stack(likelihoods, 1), torch.stack(sides, 1)


def _near_and_far(
    parts: Tensor, moments: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield the diagonal of B and det(B), each (..., F, 1), and z^H B^-1 z, (..., F, K).

    One tuple for each of :data:`NEIGHBOURS`.
    """
    zz = parts.unbind(-3)  # |z_1|^2, |z_2|^2, Re and Im of z_1 conj(z_2), each (..., F, K)
    for neighbours in NEIGHBOURS:
        left, right, real, imaginary = sums_around(moments, neighbours).unbind(-1)
        # B is scaled to a trace of 2, then SPREAD times the identity, a diffuse field, is added.
        scale = (left + right).where(left + right > 0, 1) / 2
        left, right = left / scale + SPREAD, right / scale + SPREAD
        real, imaginary = real / scale, imaginary / scale
        # Determinant and inverse of the Hermitian 2x2 matrix in closed form.
        determinant = left * right - real.square() - imaginary.square()
        a, b, c, d, det = (x.unsqueeze(-1) for x in (left, right, real, imaginary, determinant))
        yield a, b, det, (b * zz[0] + a * zz[1] - 2 * (c * zz[2] + d * zz[3])) / det


def sums_around(sums: Tensor, neighbours: int) -> Tensor:
    """Sum over each bin and its neighbours on either side: (..., F, N) -> (..., F, N)."""
    if not neighbours:
        return sums
    bins = sums.shape[-2]
    # Differences of cumulative sums, in double precision because large sums cancel.
    padded = torch.nn.functional.pad(sums.double(), (0, 0, neighbours + 1, neighbours)).cumsum(-2)
    return (padded[..., 2 * neighbours + 1 :, :] - padded[..., :bins, :]).to(sums.dtype)
