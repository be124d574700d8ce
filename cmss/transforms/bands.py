"""Bands on the frequency axis: narrow where partials lie close, wide above; and back to bins.

Weights (bins, bands) serve both ways: bins @ weights sums bins into bands, bands @ weights.T
spreads a value per band over its bins.
"""

import math

import torch
from torch import Tensor


def band_interpolation(bins: int, Q: int) -> Tensor:
    """Weights (bins, bands) that spread a value per band over the bins; each row sums to one.

    The lowest Q bins are bands of their own, so that low notes' partials are told apart; above,
    the distance from band to band is 1/Q of the frequency, and bins in between are interpolated.
    """
    centres = [0.0]
    while centres[-1] < bins - 1:
        centres.append(centres[-1] + max(1.0, centres[-1] / Q))
    centres[-1] = bins - 1
    centre = torch.tensor(centres)
    position = torch.arange(bins, dtype=torch.float32)
    above = torch.searchsorted(centre, position).clamp(1, len(centres) - 1)
    weight = (position - centre[above - 1]) / (centre[above] - centre[above - 1])
    weights = torch.zeros(bins, len(centres))
    rows = torch.arange(bins)
    weights[rows, above - 1] = 1 - weight
    weights[rows, above] = weight
    return weights


def warp(bins: int, bands: int) -> Tensor:
    """Weights (bins, bands) that read each band off between two bins; each column sums to one.

    Bands are equally spaced on the axis log(1 + 20 f), f being the frequency as a share of the
    highest: linear below a twentieth of it, logarithmic above (Zhao et al. 2018, "The sound of
    pixels", and Kadandale et al. 2020). The lowest and the highest bin are bands.
    """
    return _between(_frequency(bands) * (bins - 1), bins).T


def unwarp(bins: int, bands: int) -> Tensor:
    """Weights (bins, bands) that read each bin off between two of the bands of :func:`warp`.

    Each row sums to one.
    """
    share = torch.linspace(0, 1, bins, dtype=torch.float64)
    return _between(_position(share, bands), bands)


def stretch(bands: int, factor: float) -> Tensor:
    """Weights (bands, bands) that read the bands of :func:`warp` off at a multiple of frequency.

    Row g takes from the two bands about `factor` times the frequency of band g; it is zero where
    that lies beyond the highest.
    """
    share = factor * _frequency(bands)
    return _between(_position(share, bands), bands) * (share <= 1).unsqueeze(1)


def _frequency(bands: int) -> Tensor:
    """(bands,) where each band of :func:`warp` lies, as a share of the highest frequency."""
    return (torch.logspace(0, 1, bands, base=21, dtype=torch.float64) - 1) / 20


def _position(share: Tensor, bands: int) -> Tensor:
    """Which band lies at a share of the highest frequency, with fractions; as `share`."""
    return torch.log1p(20 * share) / math.log(21) * (bands - 1)


def _between(positions: Tensor, points: int) -> Tensor:
    """(positions, points): linear interpolation of values at 0, 1, ..., points - 1."""
    distance = positions.clamp(0, points - 1).unsqueeze(1) - torch.arange(points)
    return (1 - distance.abs()).clamp(min=0).float()
