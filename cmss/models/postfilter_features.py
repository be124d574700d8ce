"""Computes the input features of the post-filter from the mixture and a separator's estimates.

In shapes, S is the number of sources, F the number of frequency bins, and K the number of frames.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cmss.transforms.angular_gaussian import (
    Distribution,
    direction_moments,
    direction_parts,
    distributions_of,
    sums_around,
)
from cmss.transforms.masks import MASK_FLOOR, log_odds, ratio_masks
from cmss.transforms.tiles import channels_power, tiles

LIMIT = 9.0
"""Largest log-odds, about -log(:data:`cmss.transforms.masks.MASK_FLOOR`)."""

FEATURES = 11
"""Number of features that :func:`features_of` computes."""

ODDS, LEVEL = 0, 7
"""Indices of two features: the log-odds of the mask and the level of the mixture."""

LONG_TERM = (3, 40)
"""Numbers of bins on each side of a bin over which power is summed.

The first sum covers a partial, and the second sum covers half an octave at 600 Hz.
"""


@dataclass(frozen=True)
class LongTerm:
    """Holds statistics over all frames of a recording; :func:`features_of` needs these statistics.

    Args:
        directions: distributions of the directions of arrival of each source.
        constant: the N features that do not change over time, an array of shape (N, S, F, 1).
        level: mean power of the mixture near each bin, an array of shape (F, 1).
    """

    directions: list[Distribution]
    constant: Tensor
    level: Tensor


def long_term(mixture: Tensor, estimates: Tensor) -> LongTerm:
    """Compute statistics over all frames of a recording.

    Args:
        mixture: spectra of the mixture, a complex array of shape (2, F, K).
        estimates: spectra of the separator's estimates, a complex array of shape (S, 2, F, K).
    """
    frames = mixture.shape[-1]
    sources, _, bins, _ = estimates.shape
    moments = mixture.real.new_zeros(sources, bins, 4)
    of_source = mixture.real.new_zeros(sources, bins, 1)
    of_mixture = mixture.real.new_zeros(bins, 1)
    for tile in tiles(frames):
        X = mixture[..., tile]
        masks = ratio_masks(estimates[..., tile]) + MASK_FLOOR  # (S, F, K)
        power = channels_power(X)  # (F, K)
        # The weight is the level times the square of the mask, see
        # cmss.transforms.angular_gaussian.
        weight = power.sqrt() * masks.square()
        moments += direction_moments(direction_parts(X), weight)
        of_source += (masks * power).sum(-1, keepdim=True)
        of_mixture += power.sum(-1, keepdim=True)
    directions = distributions_of(moments)
    level = sums_around(of_mixture / frames, LONG_TERM[-1]) / (2 * LONG_TERM[-1] + 1)
    return LongTerm(directions, _constant(directions, of_source), level.where(level > 0, 1))


def _constant(directions: list[Distribution], power: Tensor) -> Tensor:
    """Return the five features that do not change over time, an array of shape (5, S, F, 1).

    The first two features are log-odds of the source's power: :data:`LONG_TERM` contains two
    numbers of bins, and there is one feature for each number. The next two features are level
    differences between the left and the right channel, for two neighbourhoods of bins. The last
    feature is the frequency.

    Args:
        directions: distributions of the directions of each source, for each neighbourhood of bins.
        power: power of each source, summed over all frames, an array of shape (S, F, 1).
    """
    planes = []
    for neighbours in LONG_TERM:
        around = sums_around(power, neighbours)  # (S, F, 1)
        total = around.sum(0)
        relative = around / total.where(total > 0, 1)
        planes.append(log_odds(relative + MASK_FLOOR, LIMIT))
    # Level differences between left and right, for the two middle neighbourhoods of bins.
    planes += [distribution.side / 2 for distribution in directions[1:3]]
    # Frequency on a logarithmic axis.
    frequency = torch.linspace(0, 1, power.shape[-2], device=power.device)
    planes.append((3 * (frequency + 0.02).log()[:, None] / 2).expand_as(power))
    return torch.stack(planes) / 3


def features_of(mixture: Tensor, estimates: Tensor, over_all: LongTerm | None = None) -> Tensor:
    """Compute the features of each source and bin.

    The features do not depend on the level of the recording.

    The features are, in this order:

    - the log-odds of the source's mask;
    - the log-odds of the source's directions, for each neighbourhood of bins;
    - the log-odds of the source's power over the recording, for the two neighbourhoods of bins in
      :data:`LONG_TERM`;
    - the level of the mixture relative to the mean level near this frequency;
    - the level difference of the source between the left and the right channel, for two
      neighbourhoods of bins;
    - the frequency.

    Args:
        mixture: spectra of the mixture, a complex array of shape (2, F, K).
        estimates: spectra of the separator's estimates, a complex array of shape (S, 2, F, K).
        over_all: statistics of all frames, if the spectra contain only some of the frames; None if
            the spectra contain all frames.

    Returns:
        The features, an array of shape (S, :data:`FEATURES`, F, K).
    """
    over_all = over_all or long_term(mixture, estimates)
    masks = ratio_masks(estimates) + MASK_FLOOR  # (S, F, K)
    result = masks.new_empty(FEATURES, *masks.mT.shape).mT  # (FEATURES, S, F, K)
    result[ODDS] = log_odds(masks, LIMIT)
    parts = direction_parts(mixture)  # (4, F, K)
    for number, distribution in enumerate(over_all.directions, 1):
        distance = distribution.distance(parts)
        density = (distribution.determinant * distance.square()).reciprocal_()
        result[number] = log_odds(density, LIMIT)
    # The other features are scaled to an order of magnitude of 1. The constant features already
    # have this order of magnitude.
    power = channels_power(mixture)
    result[LEVEL] = (power / over_all.level + 1e-6).log() / 2
    for plane in (*result[:5], result[LEVEL]):
        plane /= 3
    result[[5, 6, 8, 9, 10]] = over_all.constant
    return result.transpose(0, 1)
