"""Members of an ensemble as opinions on who has how much of each bin.

The logarithmic opinion pool (Genest and Zidek 1986, "Combining probability distributions: a
critique and an annotated bibliography", Statistical Science 1, section 3) multiplies the members'
shares, each to the power of its weight. A member that is sure of a bin, with a share near zero or
one, decides it; one that is not says little there. The weighted sum of estimates would let it blur
what others know.

Shapes: M members, S sources, F bins, K frames.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.transforms.shares import DOUBT, magnitude_shares


def pooled(mixture: Tensor, estimates: Tensor, weights: Tensor) -> Tensor:
    """Shares of the mixture by the logarithmic pool of the members' shares.

    Args:
        mixture: complex (2, F, K).
        estimates: complex (M S, 2, F, K), all of the first member first.
        weights: (M, S, F), not negative; one in all for each source and bin.

    Returns:
        complex (S, 2, F, K); their sum is the mixture, and a source that is silent in all
        estimates with a weight is silent.
    """
    members, sources = weights.shape[:2]
    prior = torch.zeros(())
    heard = torch.zeros(sources, dtype=torch.bool)
    for of_member, weight in zip(estimates.chunk(members), weights, strict=True):
        shares = magnitude_shares(of_member)
        prior = prior + weight[..., None] * (shares + DOUBT).log()
        heard |= (shares.amax((1, 2)) > 0) & (weight > 0).any(1)
    silent = ~heard & heard.any()
    posterior = prior.masked_fill(silent[:, None, None], -torch.inf).softmax(0)
    return posterior.unsqueeze(1) * mixture


def weights_of_bins(
    weights: NDArray[np.float64], responses: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Weights (M, S, bands) at each bin, by the bands' responses (bands, F): (M, S, F).

    They sum to one over the members; a source without any weight has all members alike.
    """
    at_bins = weights @ responses
    total = at_bins.sum(0)
    return np.where(total > 0, at_bins / np.where(total > 0, total, 1), 1 / len(weights)).astype(
        np.float32
    )
