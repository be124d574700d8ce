"""Log-opinion pool of the masks of an ensemble's members.

The log-opinion pool (Genest and Zidek 1986, "Combining probability distributions: a critique and an
annotated bibliography", Statistical Science 1, section 3) multiplies the members' masks, each
raised to the power of its weight, and normalises the product. Confident members, whose masks are
near 0 or 1, dominate a bin, and members that are not confident have little effect. In a weighted
sum, the latter would blur the masks of confident members.

Shapes: M members, S sources, F bins, K frames.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.transforms.masks import MASK_FLOOR, ratio_masks


def pooled(mixture: Tensor, estimates: Tensor, weights: Tensor) -> Tensor:
    """Apply the log-opinion pool of the members' masks to the mixture.

    Args:
        mixture: complex (2, F, K).
        estimates: complex (M S, 2, F, K), the sources of the first member first.
        weights: (M, S, F), not negative; they sum to 1 over members.

    Returns:
        complex (S, 2, F, K). The sources sum to the mixture. A source is silent if it is silent in
        all estimates with a positive weight.
    """
    members, sources = weights.shape[:2]
    logarithms = torch.zeros(())
    present = torch.zeros(sources, dtype=torch.bool)
    for of_member, weight in zip(estimates.chunk(members), weights, strict=True):
        masks = ratio_masks(of_member)  # (S, F, K)
        logarithms = logarithms + weight[..., None] * (masks + MASK_FLOOR).log()
        present |= (masks.amax((1, 2)) > 0) & (weight > 0).any(1)
    # If all sources are silent, no source is excluded: the softmax would return NaN.
    silent = ~present & present.any()
    pool = logarithms.masked_fill(silent[:, None, None], -torch.inf).softmax(0)
    return pool.unsqueeze(1) * mixture


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
