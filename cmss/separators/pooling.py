"""Log-opinion pool of the masks of an ensemble's members.

The log-opinion pool (Genest and Zidek 1986, "Combining probability distributions: a critique and an
annotated bibliography", Statistical Science 1, section 3) multiplies the members' masks, each
raised to the power of its weight, and normalises the product. Confident members, whose masks are
near 0 or 1, dominate a bin, and members that are not confident have little effect. In a weighted
sum, the latter would blur the masks of confident members.

Shapes: M members, S sources, F bins, K frames.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cmss.separators.spectra import WINDOW, signals_of, spectra_of
from cmss.transforms.masks import MASK_FLOOR, ratio_masks
from cmss.transforms.tiles import tiles


def pooled(
    mixture: NDArray[np.float32],
    members: Iterable[Sequence[NDArray[np.float32]]],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Apply the log-opinion pool of the members' masks to the mixture.

    Args:
        mixture: (2, samples).
        members: for each member, its estimates of all sources, (2, samples) each. An iterator can
            compute them one member at a time, so that only one member's estimates are in memory.
        weights: (M, S, F), not negative; they sum to 1 over members.

    Returns:
        (S, 2, samples). The sources sum to the mixture. A source is silent if it is silent in all
        estimates with a positive weight.
    """
    (X,) = spectra_of([mixture], WINDOW)  # (2, F, K)
    frames, sources = X.shape[-1], weights.shape[1]
    logarithms = torch.zeros(sources, frames, weights.shape[2]).mT  # (S, F, K)
    present = torch.zeros(sources, dtype=torch.bool)
    for estimates, weight in zip(members, torch.from_numpy(weights), strict=True):
        spectra = spectra_of(estimates, WINDOW)  # (S, 2, F, K)
        sounds = torch.zeros(sources, dtype=torch.bool)
        for tile in tiles(frames):
            masks = ratio_masks(spectra[..., tile])  # (S, F, K)
            sounds |= masks.amax((1, 2)) > 0
            logarithms[..., tile] += weight[..., None] * masks.add_(MASK_FLOOR).log_()
        present |= sounds & (weight > 0).any(1)
        del spectra  # the largest array, before the next member needs memory
    # If all sources are silent, no source is excluded: the softmax would return NaN.
    silent = ~present & present.any()
    result = X.new_empty(sources, *X.mT.shape).mT  # (S, 2, F, K)
    for tile in tiles(frames):
        excluded = logarithms[..., tile].masked_fill_(silent[:, None, None], -torch.inf)
        result[..., tile] = excluded.softmax(0).unsqueeze(1) * X[..., tile]
    return signals_of(result, WINDOW, mixture.shape[-1])


def weights_of_bins(
    weights: NDArray[np.float64], responses: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolate weights (M, S, bands) to bins with the bands' responses (bands, F): (M, S, F).

    The result sums to 1 over members. Where all weights are zero, members have equal weights.
    """
    at_bins = weights @ responses
    total = at_bins.sum(0)
    return np.where(total > 0, at_bins / np.where(total > 0, total, 1), 1 / len(weights)).astype(
        np.float32
    )
