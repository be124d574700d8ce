"""Combines the masks of the separators in an ensemble by a log-opinion pool.

The log-opinion pool multiplies the masks of all members of the ensemble. Each mask is raised to the
power of the member's weight, and the product is normalised (Genest and Zidek 1986, "Combining
probability distributions: a critique and an annotated bibliography", Statistical Science 1, section
3). A member is confident in a bin where its masks are near 0 or 1. Confident members dominate the
result of the log-opinion pool. In a weighted sum, the masks of the other members would blur the
masks of the confident members.

In shapes, M is the number of members of the ensemble, S the number of sources, F the number of
frequency bins, and K the number of frames.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.machine.threads import for_each
from cmss.separators.spectra import WINDOW, signals_of, spectra_of
from cmss.transforms.masks import MASK_FLOOR, ratio_masks, silent_sources
from cmss.transforms.tiles import channels_power, tiles


def pooled(
    mixture: NDArray[np.float32],
    members: Iterable[Sequence[NDArray[np.float32]]],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Apply the log-opinion pool of the members' masks to the mixture.

    Args:
        mixture: the mixture, an array of shape (2, samples).
        members: for each member of the ensemble, the estimates (2, samples) of all sources. If
            `members` is an iterator, only the estimates of a single member are in memory at a time.
        weights: weights of the members, an array of shape (M, S, F). The weights are not negative,
            and the sum of the weights over the members is 1.

    Returns:
        The sources, an array of shape (S, 2, samples). The sum of the sources is the mixture. A
        source is silent in the result if all members that have a positive weight for this source
        estimate silence. If this condition is true for all sources, it is ignored.
    """
    (X,) = spectra_of([mixture], WINDOW)  # (2, F, K)
    frames, sources = X.shape[-1], weights.shape[1]
    logarithms = torch.zeros(sources, frames, weights.shape[2]).mT  # (S, F, K)
    present = torch.zeros(sources, dtype=torch.bool)

    def include(estimates: Sequence[NDArray[np.float32]], weight: Tensor) -> None:
        spectra = spectra_of(estimates, WINDOW)  # (S, 2, F, K)

        def weigh(tile: slice) -> None:
            # Without the small magnitude, the masks of bins in which all estimates are near zero
            # would be ratios of rounding errors, for instance above the highest frequency of a
            # network.
            small = MASK_FLOOR * channels_power(X[..., tile]).div_(2).sqrt_()  # (F, K)
            masks = ratio_masks(spectra[..., tile], small)  # (S, F, K)
            logarithms[..., tile] += weight[..., None] * masks.add_(MASK_FLOOR).log_()

        for_each(weigh, tiles(frames))
        present.logical_or_(~silent_sources(spectra) & (weight > 0).any(1))

    for estimates, weight in zip(members, torch.from_numpy(weights), strict=True):
        include(estimates, weight)
        del estimates  # to have memory for the next member
    # If all sources are silent, no source is excluded: the softmax would return NaN.
    silent = ~present & present.any()
    result = X.new_empty(sources, *X.mT.shape).mT  # (S, 2, F, K)

    def combine(tile: slice) -> None:
        excluded = logarithms[..., tile].masked_fill_(silent[:, None, None], -torch.inf)
        result[..., tile] = excluded.softmax(0).unsqueeze(1) * X[..., tile]

    for_each(combine, tiles(frames))
    return signals_of(result, WINDOW, mixture.shape[-1])


def weights_of_bins(
    weights: NDArray[np.float64], responses: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolate the weights of bands (M, S, bands) to weights of bins (M, S, F).

    The responses of the bands have the shape (bands, F). The weights of each bin are scaled to a
    sum of 1 over the members. If the weights of all members are zero in a bin before the scaling,
    all members get equal weights in this bin.
    """
    at_bins = weights @ responses
    total = at_bins.sum(0)
    return np.where(total > 0, at_bins / np.where(total > 0, total, 1), 1 / len(weights)).astype(
        np.float32
    )
