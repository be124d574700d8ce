"""Who has how much of each bin.

Shapes: S sources, F bins, K frames.
"""

import torch
from torch import Tensor

DOUBT = 1e-4
"""Least prior probability, of a source that a separator does not hear."""


def magnitude_shares(estimates: Tensor) -> Tensor:
    """Each source's share of the magnitudes: complex (S, 2, F, K) -> (S, F, K), zero in silence."""
    magnitude = estimates.abs().square().mean(1).sqrt()
    total = magnitude.sum(0)
    return magnitude / total.where(total > 0, 1)


def silent_sources(estimates: Tensor) -> Tensor:
    """Which sources are silent throughout: complex (S, 2, F, K) -> bool (S,)."""
    return estimates.abs().amax((1, 2, 3)) == 0


def log_shares(estimates: Tensor, silent: Tensor | None = None) -> Tensor:
    """Logarithm of each source's share of the magnitudes: complex (S, 2, F, K) -> (S, F, K).

    It is minus infinity for a source that is silent throughout, unless all are.

    Args:
        estimates: of all frames, or of some.
        silent: (S,), where these are not all frames; see :func:`silent_sources`.
    """
    return _doubted(magnitude_shares(estimates), estimates, silent)


def channel_log_shares(estimates: Tensor, silent: Tensor | None = None) -> Tensor:
    """As :func:`log_shares`, of either channel's magnitudes: (S, 2, F, K) -> (S, 2, F, K)."""
    magnitude = estimates.abs()
    total = magnitude.sum(0)
    return _doubted(magnitude / total.where(total > 0, 1), estimates, silent)


def _doubted(shares: Tensor, estimates: Tensor, silent: Tensor | None) -> Tensor:
    silent = silent_sources(estimates) if silent is None else silent
    left_out = (silent & ~silent.all()).view(-1, *[1] * (shares.ndim - 1))
    return (shares + DOUBT).log().masked_fill(left_out, -torch.inf)


def log_odds(logarithms: Tensor, limit: float) -> Tensor:
    """Logarithm of each source's odds against all others together, from -limit to limit.

    Args:
        logarithms: of shares or likelihoods, (S, ...), up to a constant for all sources.
        limit: also what a source has that is alone.
    """
    others = [
        torch.cat((logarithms[:one], logarithms[one + 1 :])).logsumexp(0)
        if len(logarithms) > 1
        else logarithms[0].new_full(logarithms[0].shape, -torch.inf)
        for one in range(len(logarithms))
    ]
    odds = (logarithms - torch.stack(others)).nan_to_num(0.0, posinf=limit, neginf=-limit)
    return odds.clamp(-limit, limit)
