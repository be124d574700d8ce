"""Computes weights of frequency bands whose width increases with frequency.

The weights are matrices of shape (bins, bands). The product bins @ weights sums bins into bands,
and the product bands @ weights.T spreads the value of each band over its bins.
"""

import math

import torch
from torch import Tensor


def band_interpolation(bins: int, Q: int) -> Tensor:
    """Return weights (bins, bands) that spread the values of bands over bins.

    The weights of each bin sum to 1. Each of the lowest Q bins is a separate band, so that the
    partials of low notes are resolved. Above the lowest Q bins, the spacing of the band centres is
    1/Q of the frequency, and the values of bins between two band centres are interpolated.
    """
    centres = [0.0]  # centres of the bands, in bins
    while centres[-1] < bins - 1:
        centres.append(centres[-1] + max(1.0, centres[-1] / Q))
    centres[-1] = bins - 1
    centre = torch.tensor(centres)
    position = torch.arange(bins, dtype=torch.float32)
    # Each bin lies between the centres `above - 1` and `above`.
    above = torch.searchsorted(centre, position).clamp(1, len(centres) - 1)
    weight = (position - centre[above - 1]) / (centre[above] - centre[above - 1])
    weights = torch.zeros(bins, len(centres))
    rows = torch.arange(bins)
    weights[rows, above - 1] = 1 - weight
    weights[rows, above] = weight
    return weights


def warp(bins: int, bands: int) -> Tensor:
    """Return weights (bins, bands) that compute each band by interpolation between two bins.

    The weights of each band sum to 1. Bands are equally spaced on the axis log(1 + 20 f), where f
    is the frequency divided by the highest frequency. The axis is nearly linear below f = 1/20 and
    nearly logarithmic above f = 1/20 (Zhao et al. 2018, "The sound of pixels", and Kadandale et al.
    2020). The first band is the lowest bin, and the last band is the highest bin.
    """
    return _interpolation(_frequency(bands) * (bins - 1), bins).T


def unwarp(bins: int, bands: int) -> Tensor:
    """Return weights (bins, bands) that compute each bin by interpolation between two bands.

    The bands are those of :func:`warp`. The weights of each bin sum to 1.
    """
    relative = torch.linspace(0, 1, bins, dtype=torch.float64)
    return _interpolation(_position(relative, bands), bands)


def stretch(bands: int, factor: float) -> Tensor:
    """Return weights (bands, bands) that interpolate at `factor` times the frequency of each band.

    The bands are those of :func:`warp`. Row g of the matrix interpolates between the two bands
    nearest to `factor` times the frequency of band g. If `factor` times the frequency of band g is
    above the highest frequency, the weights in row g are zero.
    """
    relative = factor * _frequency(bands)
    return _interpolation(_position(relative, bands), bands) * (relative <= 1).unsqueeze(1)


def _frequency(bands: int) -> Tensor:
    """Return the frequency of each band of :func:`warp`, relative to the highest frequency."""
    return (torch.logspace(0, 1, bands, base=21, dtype=torch.float64) - 1) / 20


def _position(relative: Tensor, bands: int) -> Tensor:
    """Convert frequencies, relative to the highest frequency, to fractional indices of bands."""
    return torch.log1p(20 * relative) / math.log(21) * (bands - 1)


def _interpolation(positions: Tensor, points: int) -> Tensor:
    """Return weights (positions, points) for linear interpolation at positions between points.

    The points are 0, 1, ..., points - 1.
    """
    distance = positions.clamp(0, points - 1).unsqueeze(1) - torch.arange(points)
    return (1 - distance.abs()).clamp(min=0).float()
