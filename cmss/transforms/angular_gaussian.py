"""Directions of arrival in stereo spectra, and the likelihood of each source given its directions.

In each bin, the sound of a source at a fixed position has the same level difference and the same
phase difference between the two channels in all frames. Both differences together are called the
direction of arrival. The direction is modelled by a complex angular central Gaussian distribution
(Ito, Araki and Nakatani 2016, "Complex angular central Gaussian mixture model for directional
statistics in mask-based microphone array signal processing", EUSIPCO). Expectation-maximisation
refines the masks of the sources where their directions differ, and leaves them unchanged where
directions are equal.

A distribution of a single bin captures the room response, but it is estimated from few frames, and
in many of these frames the source has no partial. A distribution that is pooled over neighbouring
bins captures only the direct sound, but is estimated reliably. So log-likelihoods are averaged over
several neighbourhoods, :data:`NEIGHBOURS`.

When distributions are estimated, bins are weighted by the square of the mask. The reason is that in
a bin with a mask of 0.5, half of the sound, and so of the direction, comes from other sources.

Shapes: S sources, F bins, K frames. Inputs with further dimensions in front are batches.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cmss.transforms.tiles import channels_power, power, tiles

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
        spectra: spectra of the mixture, complex (..., 2, F, K).
        prior: logarithm of each source's mask before directions are used, (..., S, F, K).
        iterations: number of times that the distributions are estimated.
        weight: weight of the log-likelihood, relative to the prior, between iterations.

    Returns:
        Log-likelihoods, up to a constant for each bin, (..., S, F, K); zero if `iterations` is 0.
    """
    if not iterations:
        return torch.zeros_like(prior)
    distributions = learn_directions(spectra, prior, iterations, weight)
    return log_likelihood(direction_parts(spectra).unsqueeze(-4), distributions)


class Distribution(NamedTuple):
    """Distributions of the sources' directions, pooled over the same neighbourhood.

    The density of a direction z is det(B)^-1 (z^H B^-1 z)^-2, up to a constant. The matrix B (2, 2)
    is the weighted mean of z z^H over frames, scaled to a trace of 2, plus a diffuse field. All
    arguments have the shape (..., F, 1).

    Args:
        left, right: entries on the diagonal of B^-1.
        real, imaginary: twice the real and the imaginary part of the entry off the diagonal.
        determinant: determinant of B.
        side: logarithm of the power in the left channel divided by that in the right channel.
    """

    left: Tensor
    right: Tensor
    real: Tensor
    imaginary: Tensor
    determinant: Tensor
    side: Tensor

    def distance(self, parts: Tensor) -> Tensor:
        """Compute z^H B^-1 z from the result of :func:`direction_parts`: (..., F, K)."""
        result = parts.select(-3, 0) * self.left
        for number, entry in enumerate((self.right, self.real, self.imaginary), 1):
            result = result.addcmul_(parts.select(-3, number), entry)
        return result.clamp_(min=1e-6)


def learn_directions(
    spectra: Tensor, prior: Tensor, iterations: int, weight: float = 1.0
) -> list[Distribution]:
    """Fit each source's distributions by expectation-maximisation over all frames.

    Args:
        spectra: spectra of the mixture, complex (..., 2, F, K).
        prior: logarithm of each source's mask before directions are used, (..., S, F, K).
        iterations: number of times that the distributions are estimated, at least 1.
        weight: weight of the log-likelihood, relative to the prior, between iterations.

    Returns:
        A distribution for each of :data:`NEIGHBOURS`.
    """
    found: list[Distribution] = []
    for _ in range(iterations):
        # Tile after tile: element-wise operations on all frames would leave the caches.
        moments = None
        for tile in tiles(spectra.shape[-1]):
            parts = direction_parts(spectra[..., tile]).unsqueeze(-4)
            logarithms = prior[..., tile]
            if found:  # E step: posterior masks of the sources
                logarithms = logarithms + weight * log_likelihood(parts, found)
            # M step. Bins are weighted by their level: the direction of a weak bin is noisy.
            level = channels_power(spectra[..., tile]).sqrt_().unsqueeze(-3)  # (..., 1, F, K)
            new = direction_moments(parts, level * logarithms.softmax(-3).square())
            moments = new if moments is None else moments + new
        assert moments is not None
        found = distributions_of(moments)
    return found


def direction_parts(spectra: Tensor) -> Tensor:
    """Return the direction of each bin: complex (..., 2, F, K) -> real (..., 4, F, K).

    The parts are the powers of the left and the right channel, and the real and the imaginary part
    of left * conj(right), all divided by the total power. They are zero in silence.
    """
    left, right = spectra.unbind(-3)
    a, b, c, d = left.real, left.imag, right.real, right.imag
    parts = torch.stack((power(left), power(right), a * c + b * d, b * c - a * d), -3)
    total = (parts.select(-3, 0) + parts.select(-3, 1)).unsqueeze(-3)
    return parts / total.where(total > 0, 1)


def direction_moments(parts: Tensor, weight: Tensor) -> Tensor:
    """Compute weighted sums of directions over frames, which determine a source's distributions.

    Args:
        parts: directions (..., 4, F, K), see :func:`direction_parts`.
        weight: weight of each bin for the source, (..., F, K).

    Returns:
        The moments of the source, (..., F, 4).
    """
    # Part by part, because the product of all parts and sources would be large.
    return torch.stack([(part * weight).sum(-1) for part in parts.unbind(-3)], -1)


def distributions_of(moments: Tensor) -> list[Distribution]:
    """Return a distribution for each of :data:`NEIGHBOURS`, from moments (..., F, 4)."""
    found = []
    for neighbours in NEIGHBOURS:
        left, right, real, imaginary = sums_around(moments, neighbours).split(1, -1)  # (..., F, 1)
        # B is scaled to a trace of 2, then SPREAD times the identity, a diffuse field, is added.
        scale = (left + right).where(left + right > 0, 1) / 2
        left, right = left / scale + SPREAD, right / scale + SPREAD
        real, imaginary = real / scale, imaginary / scale
        # Determinant and inverse of the Hermitian 2x2 matrix in closed form.
        det = left * right - real.square() - imaginary.square()
        side = (left / right).log()
        inverse = (right / det, left / det, -2 * real / det, -2 * imaginary / det)
        found.append(Distribution(*inverse, det, side))
    return found


def log_likelihood(parts: Tensor, distributions: Sequence[Distribution]) -> Tensor:
    """Compute the log-likelihood of each bin's direction, averaged over neighbourhoods.

    Args:
        parts: directions in all or some frames, (..., 4, F, K), see :func:`direction_parts`.
        distributions: results of :func:`distributions_of`.

    Returns:
        Log-likelihoods (..., F, K), up to a constant.
    """
    constant = sum(distribution.determinant.log() for distribution in distributions)
    # Distances are multiplied first, so that a single logarithm serves all neighbourhoods.
    product = distributions[0].distance(parts)
    for distribution in distributions[1:]:
        product = product.mul_(distribution.distance(parts))
    return (product.log_().mul_(2) + constant) / -len(distributions)


def sums_around(sums: Tensor, neighbours: int) -> Tensor:
    """Sum over each bin and its neighbours on either side: (..., F, N) -> (..., F, N)."""
    if not neighbours:
        return sums
    bins = sums.shape[-2]
    # Differences of cumulative sums, in double precision because large sums cancel.
    padded = torch.nn.functional.pad(sums.double(), (0, 0, neighbours + 1, neighbours)).cumsum(-2)
    return (padded[..., 2 * neighbours + 1 :, :] - padded[..., :bins, :]).to(sums.dtype)
