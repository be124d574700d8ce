"""Losses on the sources; those on their remix are in :mod:`cmss.training.remix_loss`.

A loss takes the network and a batch and gives a scalar.
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

Exponent = Annotated[float, Field(ge=0, le=10)]


@dataclass
class WaveformLoss:
    """Error of the waveforms of the outputs that play, and of their spectra's magnitudes.

    Args:
        power: 1 for the mean absolute error, on which the challenge trained Conv-TasNet; 2 for the
            mean squared error, on which Wave-U-Net was trained.
        spectral: weight of the multi-resolution STFT loss (Yamamoto, Song and Kim 2020, "Parallel
            WaveGAN", section 2.2): of the spectral convergence and of the log magnitudes' mean
            absolute difference.
    """

    power: Literal[1, 2] = 1
    spectral: NotNegative = 0.0

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Loss of any network; what an absent output gives does not count."""
        outputs = len(model.sources)
        present = batch.present(outputs)
        estimates = model(batch.mixture, present).float()[present]
        wanted = batch.wanted(outputs)[present]
        error = (estimates - wanted).abs().pow(self.power).mean()
        if not self.spectral:
            return error
        return error + self.spectral * multi_resolution_stft_loss(estimates, wanted)


RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512))
"""Length of the frames and hop of the multi-resolution STFT loss, in samples."""


def multi_resolution_stft_loss(estimates: Tensor, wanted: Tensor) -> Tensor:
    """Mean over :data:`RESOLUTIONS` of spectral convergence plus log-magnitude difference.

    Args:
        estimates, wanted: (..., samples).
    """
    losses = []
    for length, hop in RESOLUTIONS:
        window = torch.hann_window(length, device=wanted.device)
        # A floor under the power keeps the logarithm and the root's gradient finite in silence.
        floor = 1e-5 * wanted.square().mean().detach() * window.square().sum() + 1e-12
        got, true = (stft_magnitudes(s, window, hop, floor) for s in (estimates, wanted))
        # Where nothing is wrong the root has no gradient either, but for the added constant.
        wrong = (got - true).square().sum() + 1e-8 * true.square().sum()
        convergence = (wrong / true.square().sum()).sqrt()
        losses.append(convergence + (got.log() - true.log()).abs().mean())
    return torch.stack(losses).mean()


@dataclass
class MaskLoss:
    """Error of masks against ratios of magnitudes, on which Multichannel U-Net was trained.

    A source's error is weighted by (E_max / E)^p, E its energy in the batch and E_max that of the
    strongest: rare and soft sources count as much as others (Kadandale et al. 2020, section 3.2).

    Args:
        exponent: p.
        largest: ratios above count as this much.
    """

    exponent: Exponent = 1.0
    largest: Annotated[float, Field(gt=0)] = 10.0

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Loss of a network of masks on bands."""
        assert isinstance(model, BandMasks)
        outputs = len(model.sources)
        present = batch.present(outputs)
        with torch.no_grad():
            mixture = model.analyse(batch.mixture)
            stems = model.analyse(batch.wanted(outputs).mean(2)).abs().mT @ model.to_bands
            whole = mixture.mean(1).abs().mT @ model.to_bands
            ratios = (stems / (whole.unsqueeze(1) + 1e-8)).clamp(max=self.largest)
            energy = stems.square().sum((0, 2, 3))
            # A source that is silent in the whole batch has no weight, rather than an infinite one.
            weight = (energy.max() / energy).pow(self.exponent)
            weight = torch.where(energy > 0, weight, 0.0)
        error = (model.masks(mixture, present).float() - ratios).abs().mean((2, 3))
        playing = present.float()
        return (error * weight * playing).sum() / playing.sum()
