"""Computes losses of estimated sources; `cmss.training.remix_loss` computes losses of the remix.

A loss is a function that returns a scalar for a network and a batch.

In shapes, B is the size of the batch, S the number of outputs of the network, T the number of
samples, F the number of bins, K the number of frames, and N the number of bands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from cmss.models.band_masks import BandMasks
from cmss.models.checkpoint import Network
from cmss.settings import NotNegative
from cmss.training.mixtures import Batch
from cmss.transforms.magnitudes import stft_magnitudes

Loss = Callable[[Network, Batch], Tensor]


@dataclass
class WaveformLoss:
    """Compares waveforms and magnitude spectra of the estimates with those of the stems.

    Args:
        power: exponent of the error of the waveform: 1 for the mean absolute error, as in the
            challenge's training of Conv-TasNet; 2 for the mean squared error, as in the training of
            Wave-U-Net.
        spectral: weight of the multi-resolution STFT loss.
    """

    power: Literal[1, 2] = 1
    spectral: NotNegative = 0.0

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Compute the loss of any network; outputs for sources that do not play have no effect."""
        outputs = len(model.sources)
        present = batch.present(outputs)  # (B, S)
        estimates = model(batch.mixture, present).float()[present]  # (sources that play, 2, T)
        targets = batch.targets(outputs)[present]
        error = (estimates - targets).abs().pow(self.power).mean()
        if not self.spectral:
            return error
        return error + self.spectral * multi_resolution_stft_loss(estimates, targets)


def multi_resolution_stft_loss(estimates: Tensor, targets: Tensor) -> Tensor:
    """Compute the multi-resolution STFT loss.

    For each of three resolutions, the loss is the sum of the spectral convergence and the
    log-magnitude error. The result is the mean over the three resolutions.

    Args:
        estimates, targets: waveforms (..., T) of the estimates and of the stems.

    Source: Yamamoto, Song and Kim 2020, "Parallel WaveGAN", section 2.2, with hops of a quarter of
    a frame.
    """
    losses = []
    for length in (512, 1024, 2048):
        window, hop = torch.hann_window(length, device=targets.device), length // 4
        # The constant in the power keeps the logarithm and the gradient of the root finite in
        # silence.
        floor = 1e-5 * targets.square().mean().detach() * window.square().sum() + 1e-12
        estimate, target = (stft_magnitudes(s, window, hop, floor) for s in (estimates, targets))
        # The gradient of the root would be infinite at 0, so a constant is added. The error is 0 if
        # all estimates are exact.
        error = (estimate - target).square().sum() + 1e-8 * target.square().sum()
        convergence = (error / target.square().sum()).sqrt()
        losses.append(convergence + (estimate.log() - target.log()).abs().mean())
    return torch.stack(losses).mean()


@dataclass
class MaskLoss:
    """Computes the loss that the paper on Multichannel U-Net defines for masks.

    The target of a mask is the ratio of the magnitudes of stem and mixture. The error of a source
    is weighted by (E_max / E)^p, where E is the energy of this source in the batch, and E_max is
    the largest energy among the sources. The weights give rare and soft sources the same influence
    on the loss as other sources.

    Args:
        exponent: exponent p in the weights of the errors.
        largest: maximum of the ratios of magnitudes; larger ratios are clipped.

    Source: Kadandale et al. 2020, "Multi-channel U-Net for Music Source Separation", section 3.2.
    """

    exponent: Annotated[float, Field(ge=0, le=10)] = 1.0
    largest: Annotated[float, Field(gt=0)] = 10.0

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Compute the loss of a network that estimates a mask for each frequency band."""
        assert isinstance(model, BandMasks)
        outputs = len(model.sources)
        present = batch.present(outputs)  # (B, S)
        with torch.no_grad():
            mixture = model.analyse(batch.mixture)  # (B, 2, F, K)
            # Average both channels (B, S, T), compute spectra (B, S, F, K), and sum the magnitudes
            # in bands (B, S, K, N).
            stems = model.analyse(batch.targets(outputs).mean(2)).abs().mT @ model.to_bands
            total = mixture.mean(1).abs().mT @ model.to_bands  # (B, K, N)
            ratios = (stems / (total.unsqueeze(1) + 1e-8)).clamp(max=self.largest)
            energy = stems.square().sum((0, 2, 3))  # (S,)
            # A source that is silent in the entire batch has weight 0 instead of infinity.
            weight = (energy.max() / energy).pow(self.exponent)
            weight = torch.where(energy > 0, weight, 0.0)
        error = (model.masks(mixture, present).float() - ratios).abs().mean((2, 3))  # (B, S)
        playing = present.float()
        return (error * weight * playing).sum() / playing.sum()
