"""Updates templates and activations by multiplication, for one lag (NMF) or several (NMFD).

No update increases the divergence between spectrogram and model (Fevotte and Idier 2011,
"Algorithms for nonnegative matrix factorization with the beta-divergence", Neural Computation
23(9)). This property also holds for several lags, because the model is a linear function of each
factor (Smaragdis 2004, "Non-negative matrix factor deconvolution"; Schmidt and Morup 2006).

The gradient of the divergence with respect to a factor, W or H, is the difference between a
positive term and a negative term. For the Kullback-Leibler divergence, an update multiplies the
factor by the ratio of the negative term to the positive term. For the Itakura-Saito divergence, an
update multiplies the factor by the square root of the ratio of the negative term to the positive
term.
"""

from typing import Literal

import torch
from torch import Tensor

Divergence = Literal["kl", "is"]
"""Divergence: Kullback-Leibler for magnitudes (`kl`), or Itakura-Saito for powers (`is`)."""

TINY = 1e-12
"""Lower limit of modelled spectrograms and of denominators.

Spectrograms are scaled to a mean near 1, so this limit is negligible.
"""


def product(W: Tensor, H: Tensor) -> Tensor:
    """Return the spectrogram (bands, frames) that templates and activations model."""
    frames = H.shape[-1]
    total = W[0] @ H
    for lag in range(1, min(len(W), frames)):
        total[:, lag:] += W[lag] @ H[:, : frames - lag]
    return total.clamp(min=TINY)


def correlate(W: Tensor, values: Tensor) -> Tensor:
    """Correlate values (bands, frames) with the templates; the result is (components, frames).

    The function :func:`product` is a linear map of H. The correlation is the transpose of this
    linear map.
    """
    frames = values.shape[-1]
    total = W[0].T @ values
    for lag in range(1, min(len(W), frames)):
        total[:, : frames - lag] += W[lag].T @ values[:, lag:]
    return total


def _correlate_frames(H: Tensor, values: Tensor, lags: int) -> Tensor:
    """Correlate values (bands, frames) with the activations.

    The function :func:`product` is a linear map of W. The correlation is the transpose of this
    linear map. The result has the shape (lags, bands, components).
    """
    frames = values.shape[-1]
    total = values.new_zeros(lags, len(values), len(H))
    for lag in range(min(lags, frames)):
        total[lag] = values[:, lag:] @ H[:, : frames - lag].T
    return total


def update_activations(V: Tensor, W: Tensor, H: Tensor, divergence: Divergence) -> Tensor:
    """Update the activations once.

    Args:
        V: spectrogram, an array of shape (bands, frames).
        W: templates, an array of shape (lags, bands, components).
        H: activations, an array of shape (components, frames).
        divergence: divergence that the update reduces.

    Returns:
        The new activations, an array of shape (components, frames).
    """
    L = product(W, H)
    if divergence == "is":
        return H * _ratio(correlate(W, V / L**2), correlate(W, 1 / L)).sqrt()
    # The denominator is correlate(W, ones). All bands of `ones` are equal. Therefore, the templates
    # are first summed over bands, which gives (lags, 1, components).
    ones = V.new_ones(1, V.shape[-1])
    return H * _ratio(correlate(W, V / L), correlate(W.sum(1, keepdim=True), ones))


def update_templates(V: Tensor, W: Tensor, H: Tensor, divergence: Divergence) -> Tensor:
    """Update the templates once.

    Args:
        V: spectrogram, an array of shape (bands, frames).
        W: templates, an array of shape (lags, bands, components).
        H: activations, an array of shape (components, frames).
        divergence: divergence that the update reduces.

    Returns:
        The new templates, an array of shape (lags, bands, components).
    """
    L = product(W, H)
    lags = len(W)
    if divergence == "is":
        numerator = _correlate_frames(H, V / L**2, lags)
        return W * _ratio(numerator, _correlate_frames(H, 1 / L, lags)).sqrt()
    ones = V.new_ones(1, V.shape[-1])
    return W * _ratio(_correlate_frames(H, V / L, lags), _correlate_frames(H, ones, lags))


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide `numerator` by `denominator`, which is limited to at least :data:`TINY`."""
    return numerator / denominator.clamp(min=TINY)


def divergence_of(V: Tensor, L: Tensor, divergence: Divergence) -> float:
    """Return the divergence between a spectrogram V and a model L, summed over bands and frames.

    Each term of the sum is d_KL = v log(v / l) - v + l or d_IS = v / l - log(v / l) - 1. The term
    d_IS is infinite where v is zero.
    """
    if divergence == "is":
        ratio = V / L
        return float((ratio - ratio.log() - 1).sum())
    return float((torch.xlogy(V, V / L) - V + L).sum())


def initial_activations(V: Tensor, W: Tensor) -> Tensor:
    """Return initial activations, which are equal for all components.

    The activations are scaled so that the model has the same sum as the spectrogram in each frame.
    """
    return (V.sum(0) / W.sum().clamp(min=TINY)).clamp(min=TINY).repeat(W.shape[-1], 1)
