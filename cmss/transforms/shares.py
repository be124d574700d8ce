"""Magnitude ratio masks of estimated sources, and their odds.

The share of a source in a bin is its ratio mask: its magnitude divided by the sum of all sources'.

Shapes: S sources, F bins, K frames.
"""

import torch
from torch import Tensor

DOUBT = 1e-4
"""Lower limit of a prior mask: allows for energy that the separator missed."""


def magnitude_shares(estimates: Tensor) -> Tensor:
    """Return the ratio mask of each source: complex (S, 2, F, K) -> (S, F, K), zero in silence."""
    magnitude = estimates.abs().square().mean(1).sqrt()  # RMS of both channels
    total = magnitude.sum(0)
    return magnitude / total.where(total > 0, 1)


def silent_sources(estimates: Tensor) -> Tensor:
    """Mark the sources that are silent throughout: complex (S, 2, F, K) -> bool (S,)."""
    return estimates.abs().amax((1, 2, 3)) == 0


def log_shares(estimates: Tensor, silent: Tensor | None = None) -> Tensor:
    """Return the logarithm of each source's ratio mask: complex (S, 2, F, K) -> (S, F, K).

    It is minus infinity for a source that is silent throughout, unless all sources are.

    Args:
        estimates: all or some frames of the estimates.
        silent: result of :func:`silent_sources` for all frames, (S,); needed if `estimates` holds
            only some of them.
    """
    return _log_masks(magnitude_shares(estimates), estimates, silent)


def channel_log_shares(estimates: Tensor, silent: Tensor | None = None) -> Tensor:
    """Compute :func:`log_shares` of each channel separately: (S, 2, F, K) -> (S, 2, F, K)."""
    magnitude = estimates.abs()
    total = magnitude.sum(0)
    return _log_masks(magnitude / total.where(total > 0, 1), estimates, silent)


def _log_masks(masks: Tensor, estimates: Tensor, silent: Tensor | None) -> Tensor:
    silent = silent_sources(estimates) if silent is None else silent
    # Without the exception for all sources, a softmax would return NaN.
    excluded = (silent & ~silent.all()).view(-1, *[1] * (masks.ndim - 1))
    return (masks + DOUBT).log().masked_fill(excluded, -torch.inf)


def log_odds(logarithms: Tensor, limit: float) -> Tensor:
    """Return the log-odds of each source against the sum of all others, from -limit to limit.

    Args:
        logarithms: of masks or likelihoods, (S, ...), up to a constant common to all sources.
        limit: largest log-odds; also the result for a single source.
    """
    others = [
        torch.cat((logarithms[:source], logarithms[source + 1 :])).logsumexp(0)
        if len(logarithms) > 1
        else logarithms[0].new_full(logarithms[0].shape, -torch.inf)
        for source in range(len(logarithms))
    ]
    # Infinite minus infinite, for sources that are all silent, is NaN: even odds.
    odds = (logarithms - torch.stack(others)).nan_to_num(0.0, posinf=limit, neginf=-limit)
    return odds.clamp(-limit, limit)
