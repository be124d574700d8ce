"""Models the directions of arrival of sources in stereo spectra by probability distributions.

The sound of a source at a fixed position has, in each frequency bin, the same level difference and
the same phase difference between the two channels in all frames. The level difference and the phase
difference together are called the direction of arrival. The direction is modelled by a complex
angular central Gaussian distribution (Ito, Araki and Nakatani 2016, "Complex angular central
Gaussian mixture model for directional statistics in mask-based microphone array signal processing",
EUSIPCO). Expectation-maximisation refines the masks of sources whose directions differ. The masks
of sources with equal directions do not change.

A distribution of a single bin captures the room response. However, this distribution is estimated
from few frames, and in many of these frames the source has no partial. A distribution that is
pooled over neighbouring bins captures only the direct sound, but can be estimated reliably.
Therefore, log-likelihoods are averaged over several neighbourhoods of bins, see :data:`NEIGHBOURS`.

When distributions are estimated, bins are weighted by the square of the mask. In a bin with a mask
of 0.5, half of the sound comes from other sources, which also affect the direction of the bin.

In shapes, S is the number of sources, F the number of frequency bins, and K the number of frames.
Dimensions before S, F and K are batch dimensions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cmss.machine.threads import in_threads
from cmss.transforms.tiles import channels_power, power, tiles

NEIGHBOURS = (0, 10, 100, 400)
"""Numbers of bins on each side of a bin over which directions are pooled.

The largest number corresponds to 2.2 kHz for frames of 186 ms.
"""

SPREAD = 0.05
"""Weight of a diffuse component in every distribution, which models reverberation."""

EVERY = 3
"""Distance between the frames from which distributions are learned.

Consecutive frames overlap by three quarters, so the frames in between have little new information.
"""


def direction_likelihoods(
    spectra: Tensor, prior: Tensor, iterations: int, weight: float = 1.0
) -> Tensor:
    """Compute the log-likelihood of each bin's direction under the distribution of each source.

    Args:
        spectra: spectra of the mixture, a complex array of shape (..., 2, F, K).
        prior: logarithm of each source's mask, without information from directions, an array of
            shape (..., S, F, K).
        iterations: number of times that the distributions are estimated.
        weight: factor of the log-likelihood in the update of the masks. The logarithm of a new mask
            is prior + weight x log-likelihood, up to a constant for each bin.

    Returns:
        The log-likelihoods up to a constant for each bin, an array of shape (..., S, F, K). The
        log-likelihoods are zero if `iterations` is 0.
    """
    if not iterations:
        return torch.zeros_like(prior)
    frames = (..., slice(None, None, EVERY))
    distributions = learn_directions(spectra[frames], prior[frames], iterations, weight)
    return log_likelihood(direction_parts(spectra).unsqueeze(-4), distributions)


class Distribution(NamedTuple):
    """Holds distributions of the sources' directions, pooled over neighbouring bins.

    The density of a direction z is det(B)^-1 (z^H B^-1 z)^-2, up to a constant. To compute
    the 2 x 2 matrix B, the weighted mean of z z^H over frames is scaled to a trace of 2. Then, a
    multiple of the identity matrix, which models diffuse sound, is added. All arguments have the
    shape (..., F, 1).

    Args:
        left, right: entries on the diagonal of B^-1.
        real, imaginary: real part and imaginary part of the off-diagonal entry of B^-1, both
            multiplied by 2.
        determinant: determinant of B.
        side: logarithm of the ratio of the power in the left channel to the power in the right
            channel.
    """

    left: Tensor
    right: Tensor
    real: Tensor
    imaginary: Tensor
    determinant: Tensor
    side: Tensor

    def distance(self, parts: Tensor) -> Tensor:
        """Compute z^H B^-1 z (..., F, K) from the result of :func:`direction_parts`."""
        result = parts.select(-3, 0) * self.left
        for number, entry in enumerate((self.right, self.real, self.imaginary), 1):
            result = result.addcmul_(parts.select(-3, number), entry)
        return result.clamp_(min=1e-6)


def learn_directions(
    spectra: Tensor, prior: Tensor, iterations: int, weight: float = 1.0
) -> list[Distribution]:
    """Fit each source's distributions by expectation-maximisation over all frames.

    Args:
        spectra: spectra of the mixture, a complex array of shape (..., 2, F, K).
        prior: logarithm of each source's mask, without information from directions, an array of
            shape (..., S, F, K).
        iterations: number of times that the distributions are estimated, at least 1.
        weight: factor of the log-likelihood in the update of the masks. The logarithm of a new mask
            is prior + weight x log-likelihood, up to a constant for each bin.

    Returns:
        The distributions for each number of neighbours in :data:`NEIGHBOURS`.
    """
    found: list[Distribution] = []
    for _ in range(iterations):
        # Frames are processed in tiles, because element-wise operations on all frames would not fit
        # into the caches.
        def moments(tile: slice, found: Sequence[Distribution] = tuple(found)) -> Tensor:
            parts = direction_parts(spectra[..., tile]).unsqueeze(-4)
            logarithms = prior[..., tile]
            if found:  # E step: compute the posterior masks of the sources
                logarithms = logarithms + weight * log_likelihood(parts, found)
            # M step: bins are weighted by their level, because the direction of a weak bin is
            # noisy.
            level = channels_power(spectra[..., tile]).sqrt_().unsqueeze(-3)  # (..., 1, F, K)
            return direction_moments(parts, level * logarithms.softmax(-3).square())

        first, *others = in_threads(moments, tiles(spectra.shape[-1]), spectra.device.type)
        found = distributions_of(sum(others, first))
    return found


def direction_parts(spectra: Tensor) -> Tensor:
    """Compute the direction of each bin as four real numbers.

    The numbers are the power of the left channel, the power of the right channel, the real part of
    left * conj(right), and the imaginary part of left * conj(right). All four numbers are divided
    by the total power. In silence, all four numbers are zero.

    Args:
        spectra: spectra of both channels, a complex array of shape (..., 2, F, K).

    Returns:
        The directions, a real array of shape (..., 4, F, K).
    """
    left, right = spectra.unbind(-3)
    a, b, c, d = left.real, left.imag, right.real, right.imag
    parts = torch.stack((power(left), power(right), a * c + b * d, b * c - a * d), -3)
    total = (parts.select(-3, 0) + parts.select(-3, 1)).unsqueeze(-3)
    return parts / total.where(total > 0, 1)


def direction_moments(parts: Tensor, weight: Tensor) -> Tensor:
    """Compute weighted sums of directions over frames.

    The sums determine the distributions of a source.

    Args:
        parts: result of :func:`direction_parts`, an array of shape (..., 4, F, K).
        weight: weight of each bin for the source, an array of shape (..., F, K).

    Returns:
        The weighted sums, an array of shape (..., F, 4).
    """
    # The four sums are computed separately, because the product of all numbers and weights would be
    # large.
    return torch.stack([(part * weight).sum(-1) for part in parts.unbind(-3)], -1)


def distributions_of(moments: Tensor) -> list[Distribution]:
    """Return distributions of directions for each number of neighbours in :data:`NEIGHBOURS`.

    Args:
        moments: result of :func:`direction_moments`, an array of shape (..., F, 4).
    """
    found = []
    for neighbours in NEIGHBOURS:
        left, right, real, imaginary = sums_around(moments, neighbours).split(1, -1)  # (..., F, 1)
        # B is scaled to a trace of 2, then SPREAD times the identity, a diffuse field, is added.
        scale = (left + right).where(left + right > 0, 1) / 2
        left, right = left / scale + SPREAD, right / scale + SPREAD
        real, imaginary = real / scale, imaginary / scale
        # The determinant and the inverse of the Hermitian 2x2 matrix have a closed form.
        det = left * right - real.square() - imaginary.square()
        side = (left / right).log()
        inverse = (right / det, left / det, -2 * real / det, -2 * imaginary / det)
        found.append(Distribution(*inverse, det, side))
    return found


def log_likelihood(parts: Tensor, distributions: Sequence[Distribution]) -> Tensor:
    """Compute the log-likelihood of each bin's direction, averaged over neighbourhoods of bins.

    Args:
        parts: result of :func:`direction_parts` for all or some frames, an array of shape
            (..., 4, F, K).
        distributions: results of :func:`distributions_of`.

    Returns:
        The log-likelihoods up to a constant, an array of shape (..., F, K).
    """
    constant = sum(distribution.determinant.log() for distribution in distributions)
    # Distances are multiplied first, so that a single logarithm suffices for all neighbourhoods.
    product = distributions[0].distance(parts)
    for distribution in distributions[1:]:
        product = product.mul_(distribution.distance(parts))
    return (product.log_().mul_(2) + constant) / -len(distributions)


def sums_around(sums: Tensor, neighbours: int) -> Tensor:
    """Sum each bin of an array (..., F, N) with the `neighbours` nearest bins on each side."""
    if not neighbours:
        return sums
    bins = sums.shape[-2]
    # The sums are differences of cumulative sums. The cumulative sums are computed in double
    # precision, because large sums cancel.
    padded = torch.nn.functional.pad(sums.double(), (0, 0, neighbours + 1, neighbours)).cumsum(-2)
    return (padded[..., 2 * neighbours + 1 :, :] - padded[..., :bins, :]).to(sums.dtype)
