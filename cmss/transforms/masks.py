"""Ratio masks of estimated sources, their logarithms and log-odds.

The ratio mask of a source in a time-frequency bin is its magnitude divided by the sum of the
magnitudes of all sources.

Shapes: S sources, 2 channels, F bins, K frames.
"""

import torch
from torch import Tensor

MASK_FLOOR = 1e-4
"""Added to a mask before the logarithm: allows for energy that the separator missed."""


def ratio_masks(estimates: Tensor) -> Tensor:
    """Return the ratio mask of each source: complex (S, 2, F, K) -> (S, F, K), zero in silence."""
    magnitude = estimates.abs().square().mean(1).sqrt()  # (S, F, K): RMS of both channels
    total = magnitude.sum(0)  # (F, K)
    return magnitude / total.where(total > 0, 1)


def silent_sources(estimates: Tensor) -> Tensor:
    """Mark the sources that are silent throughout: complex (S, 2, F, K) -> bool (S,)."""
    return estimates.abs().amax((1, 2, 3)) == 0


def log_masks(estimates: Tensor, silent: Tensor | None = None) -> Tensor:
    """Return the logarithm of each source's ratio mask: complex (S, 2, F, K) -> (S, F, K).

    It is minus infinity for a source that is silent throughout, unless all sources are.

    Args:
        estimates: all or some frames of the estimates.
        silent: result of :func:`silent_sources` for all frames, (S,); needed if `estimates` holds
            only some of them.
    """
    return _log_masks(ratio_masks(estimates), estimates, silent)


def channel_log_masks(estimates: Tensor, silent: Tensor | None = None) -> Tensor:
    """Compute :func:`log_masks` of each channel separately: (S, 2, F, K) -> (S, 2, F, K)."""
    magnitude = estimates.abs()  # (S, 2, F, K)
    total = magnitude.sum(0)  # (2, F, K)
    return _log_masks(magnitude / total.where(total > 0, 1), estimates, silent)


def _log_masks(masks: Tensor, estimates: Tensor, silent: Tensor | None) -> Tensor:
    """Return the logarithm of masks (S, ...), minus infinity for sources that are silent."""
    silent = silent_sources(estimates) if silent is None else silent
    # If all sources are silent, none is excluded: a softmax over minus infinities is NaN.
    excluded = (silent & ~silent.all()).view(-1, *[1] * (masks.ndim - 1))
    return (masks + MASK_FLOOR).log().masked_fill(excluded, -torch.inf)


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
    # If all sources are excluded, infinity minus infinity is NaN: replaced by even odds, 0.
    odds = (logarithms - torch.stack(others)).nan_to_num(0.0, posinf=limit, neginf=-limit)
    return odds.clamp(-limit, limit)
