"""Computes ratio masks of estimated sources, and their logarithms and log-odds.

The ratio mask of a source in a time-frequency bin is the magnitude of this source divided by the
sum of the magnitudes of all sources.

In shapes, S is the number of sources, F the number of frequency bins, and K the number of frames.
"""

import math

import torch
from torch import Tensor

from cmss.transforms.tiles import channels_power, power, tiles

MASK_FLOOR = 1e-4
"""Constant that is added to a mask before the logarithm.

Because of the constant, a source can have energy even in bins in which the separator found none.
"""


def ratio_masks(estimates: Tensor, added: Tensor | None = None) -> Tensor:
    """Return the ratio mask (S, F, K) of each source; in silence, all masks are zero.

    Args:
        estimates: spectra of the estimates, a complex array of shape (S, 2, F, K).
        added: magnitude that is added to the magnitude of each source, an array of shape (F, K).
    """
    magnitude = channels_power(estimates).div_(2).sqrt_()  # (S, F, K): RMS of both channels
    if added is not None:
        magnitude += added
    total = magnitude.sum(0)  # (F, K)
    return magnitude / total.where(total > 0, 1)


def silent_sources(estimates: Tensor) -> Tensor:
    """Return a bool array (S,) that is true for sources that are silent in all bins and frames."""
    # Most sources are audible in the first tile, so the other tiles need not be read.
    silent = [
        not any(torch.view_as_real(estimate[..., tile]).any() for tile in tiles(estimate.shape[-1]))
        for estimate in estimates
    ]
    return torch.tensor(silent, device=estimates.device)


def log_masks(estimates: Tensor, silent: Tensor | None = None) -> Tensor:
    """Return the logarithm of each source's ratio mask, an array of shape (S, F, K).

    The result is minus infinity for a source that is silent in all frames. If all sources are
    silent, the result is finite.

    Args:
        estimates: spectra of the estimates, a complex array of shape (S, 2, F, K). The array may
            contain all frames or only some of the frames.
        silent: result of :func:`silent_sources` for all frames. If `estimates` contains only some
            of the frames, `silent` is required.
    """
    return _log_masks(ratio_masks(estimates), estimates, silent)


def channel_log_masks(estimates: Tensor, silent: Tensor | None = None) -> Tensor:
    """Apply :func:`log_masks` to each channel separately; the result has shape (S, 2, F, K)."""
    return _log_masks(_channel_ratio_masks(estimates), estimates, silent)


def channel_masks(estimates: Tensor, silent: Tensor) -> Tensor:
    """Return the softmax of :func:`channel_log_masks` over the sources, but without logarithms."""
    masks = _channel_ratio_masks(estimates).add_(MASK_FLOOR)  # (S, 2, F, K)
    masks[_excluded(silent)] = 0
    return masks / masks.sum(0)


def _channel_ratio_masks(estimates: Tensor) -> Tensor:
    magnitude = power(estimates).sqrt_()  # (S, 2, F, K)
    total = magnitude.sum(0)  # (2, F, K)
    return magnitude / total.where(total > 0, 1)


def _log_masks(masks: Tensor, estimates: Tensor, silent: Tensor | None) -> Tensor:
    """Return the logarithm of masks (S, ...) or, for silent sources, minus infinity."""
    silent = silent_sources(estimates) if silent is None else silent
    excluded = _excluded(silent).view(-1, *[1] * (masks.ndim - 1))
    return (masks + MASK_FLOOR).log().masked_fill(excluded, -torch.inf)


def _excluded(silent: Tensor) -> Tensor:
    """Return the sources whose masks are zero: the silent ones, unless all sources are silent."""
    # A softmax over minus infinities is NaN.
    return silent & ~silent.all()


def log_odds(probabilities: Tensor, limit: float) -> Tensor:
    """Return the log-odds of each source against the sum of all other sources.

    Args:
        probabilities: positive probability of each source, an array of shape (S, ...). If the
            probabilities of all sources are multiplied by the same factor, the result is the same.
        limit: largest absolute value of the log-odds. If there is only one source, all log-odds are
            equal to `limit`.
    """
    others = probabilities.sum(0) - probabilities
    # Where a source dominates, rounding can make the sum of the other sources zero or negative.
    others = torch.maximum(others, math.exp(-limit) * probabilities)
    return (probabilities / others).log_().clamp_(-limit, limit)
