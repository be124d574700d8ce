"""Multiplicative updates of templates and activations, of one lag (NMF) or several (NMFD).

Each update brings the divergence of spectrogram and model down, or leaves it where it is (Fevotte
and Idier 2011, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
Computation 23(9)); that holds for several lags too, since the model is linear in either factor
(Smaragdis 2004, "Non-negative matrix factor deconvolution"; Schmidt and Morup 2006).
"""

from typing import Literal

import torch
from torch import Tensor

Divergence = Literal["kl", "is"]
"""Kullback-Leibler, for magnitudes, or Itakura-Saito, for powers."""

TINY = 1e-12
"""Least value of a model and of what is divided by; spectrograms are scaled to a mean near 1."""


def product(W: Tensor, H: Tensor) -> Tensor:
    """The spectrogram (bands, frames) that templates and activations make."""
    frames = H.shape[-1]
    total = W[0] @ H
    for lag in range(1, min(len(W), frames)):
        total[:, lag:] += W[lag] @ H[:, : frames - lag]
    return total.clamp(min=TINY)


def gather(W: Tensor, values: Tensor) -> Tensor:
    """What each activation sees: values (bands, frames) weighted by its template where it sounds.

    The transpose of :func:`product` in H.
    """
    frames = values.shape[-1]
    total = W[0].T @ values
    for lag in range(1, min(len(W), frames)):
        total[:, : frames - lag] += W[lag].T @ values[:, lag:]
    return total


def _gather_templates(H: Tensor, values: Tensor, lags: int) -> Tensor:
    """What each entry of the templates sees: the transpose of :func:`product` in W."""
    frames = values.shape[-1]
    total = values.new_zeros(lags, len(values), len(H))
    for lag in range(min(lags, frames)):
        total[lag] = values[:, lag:] @ H[:, : frames - lag].T
    return total


def update_activations(V: Tensor, W: Tensor, H: Tensor, divergence: Divergence) -> Tensor:
    """One step of the activations.

    Args:
        V: (bands, frames) spectrogram.
        W: (lags, bands, components) templates.
        H: (components, frames) activations.
        divergence: what is brought down.

    Returns:
        as H.
    """
    L = product(W, H)
    if divergence == "is":
        return H * _ratio(gather(W, V / L**2), gather(W, 1 / L)).sqrt()
    # Ones in all bands: the sum of each template's bands sees the same as the template.
    ones = V.new_ones(1, V.shape[-1])
    return H * _ratio(gather(W, V / L), gather(W.sum(1, keepdim=True), ones))


def update_templates(V: Tensor, W: Tensor, H: Tensor, divergence: Divergence) -> Tensor:
    """One step of the templates; arguments as :func:`update_activations`, the result as W."""
    L = product(W, H)
    lags = len(W)
    if divergence == "is":
        seen = _gather_templates(H, V / L**2, lags)
        return W * _ratio(seen, _gather_templates(H, 1 / L, lags)).sqrt()
    ones = V.new_ones(1, V.shape[-1])
    return W * _ratio(_gather_templates(H, V / L, lags), _gather_templates(H, ones, lags))


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return numerator / denominator.clamp(min=TINY)


def divergence_of(V: Tensor, L: Tensor, divergence: Divergence) -> float:
    """The divergence of a model L from a spectrogram V, summed over bands and frames.

    d_KL = v log(v / l) - v + l, d_IS = v / l - log(v / l) - 1; infinite for IS where v is zero.
    """
    if divergence == "is":
        ratio = V / L
        return float((ratio - ratio.log() - 1).sum())
    return float((torch.xlogy(V, V / L) - V + L).sum())


def first_activations(V: Tensor, W: Tensor) -> Tensor:
    """Equal activations of all components whose model has each frame's sum, to start from."""
    return (V.sum(0) / W.sum().clamp(min=TINY)).clamp(min=TINY).repeat(W.shape[-1], 1)
