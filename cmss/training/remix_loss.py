"""Compares estimates with stems, both as sources and as a remix, because listeners hear the remix.

Sources are compared by compressed spectra, which have the square root of the magnitude and the
same phase, similar to the compression in the ear. Remixes are compared by their log power. Bins are
weighted by the inverse bandwidth of the auditory filter, because the bands of HAAQI are equally
spaced on that scale.

Shapes: B batch, S outputs of the network, P players of an example, T samples, F bins, K frames.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmss.models.band_masks import BandMasks
from cmss.models.checkpoint import Network
from cmss.settings import NotNegative
from cmss.training.mixtures import Batch
from cmss.training.modulation import modulation_distance
from cmss.transforms.stft import stft

# Terms of the losses.


def inverse_bandwidth(bins: int, sample_rate_hz: int) -> Tensor:
    """Return the inverse bandwidth of the auditory filter in each bin: (bins,), mean 1.

    Source: Glasberg and Moore 1990.
    """
    hz = torch.linspace(0, sample_rate_hz / 2, bins)
    weight = 1 / (24.7 * (4.37e-3 * hz + 1))
    return weight / weight.mean()


def mask_error(masks: Tensor, mixture: Tensor, product: Tensor, stems: Tensor) -> Tensor:
    """Compute the squared error of masked compressed spectra; shapes are broadcast.

    A mask m is real and not negative. So with the compressed spectra x and s of mixture and stem,
    the error is a polynomial in sqrt(m): |sqrt(m) x - s|^2 = m |x|^2 - 2 sqrt(m) Re(x* s) + |s|^2.

    Args:
        masks: the masks m.
        mixture: |x|^2, which is the magnitude of the mixture before compression.
        product: Re(x* s), the real part of the product of both compressed spectra.
        stems: |s|^2, which is the magnitude of the stems before compression.
    """
    # The constant keeps the gradient of the root finite at 0.
    return masks * mixture - 2 * (masks + 1e-6).sqrt() * product + stems


def log_error(estimate: Tensor, target: Tensor, floor: float) -> Tensor:
    """Compute the absolute difference of log powers; powers below `floor` count as silence."""
    return (torch.log(estimate + floor) - torch.log(target + floor)).abs()


def with_modulations(
    error: Tensor,
    weight: float,
    remixes: Callable[[], tuple[Tensor, Tensor]],
    sample_rate_hz: int,
) -> Tensor:
    """Add the modulation loss of the remix (:mod:`cmss.training.modulation`) to an error.

    Args:
        error: the error, a scalar.
        weight: weight of the modulation loss; if the weight is 0, the remixes are not computed.
        remixes: returns the remix of the estimates and the remix of the stems, (B, 2, T) each.
        sample_rate_hz: sampling rate of both remixes.
    """
    if not weight:
        return error
    return error + weight * modulation_distance(*remixes(), sample_rate_hz)


# Losses.


@dataclass
class RemixTerms:
    """Holds the weights of the terms of both losses in this file.

    Args:
        remix: weight of the error of the remix, relative to the error of the sources.
        floor_db: power of the remix that counts as silence, relative to the mean of the mixture.
        modulation: weight of the modulation loss of the remix.
    """

    remix: NotNegative = 1.0
    floor_db: Annotated[float, Field(ge=-200, le=0)] = -60.0
    modulation: NotNegative = 0.0

    @property
    def floor(self) -> float:
        """`floor_db` as a factor of power."""
        return 10 ** (self.floor_db / 10)


@dataclass
class RemixLoss(RemixTerms):
    """Loss of the masked sources and of their remix, for networks that estimate masks on bands.

    The loss is computed from the network's masks and from spectra. Waveforms are synthesised only
    for the modulation loss. For the arguments see :class:`RemixTerms`.
    """

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Compute the loss of a network that estimates masks on bands."""
        assert isinstance(model, BandMasks)
        level = batch.mixture.square().mean((1, 2)).add(1e-12).sqrt()  # RMS, (B,)
        # Scaled so that the spectrum of white noise has a mean power of 1 in each bin.
        level = level * model.window.square().sum().sqrt()
        with torch.no_grad():
            stems = model.analyse(batch.stems / level[:, None, None, None])  # (B, P, 2, F, K)
            mixture = stems.sum(1)  # (B, 2, F, K)
            # Contiguous real and imaginary parts (B, P, 2, K, F), so that loops can be vectorised.
            real, imaginary = stems.mT.real.contiguous(), stems.mT.imag.contiguous()
            size, product, sizes, remix_power, power = _targets(real, imaginary, batch.gains)
        masks = model.masks(mixture, batch.present(len(model.sources)))  # (B, S, K, bands)
        # Select the outputs of the P players among the S outputs. Where the index is -1, any output
        # is selected, and `playing` sets it to zero.
        index = batch.index.clamp(min=0)[..., None, None].expand(-1, -1, *masks.shape[-2:])
        masks = model.spread(masks.gather(1, index)).float()  # (B, P, K, F)
        playing = (batch.index >= 0).float()  # (B, P)
        of_players = masks * playing[..., None, None]
        sources = mask_error(of_players, size, product, sizes).sum(1).mean((0, 1))  # (F,)
        estimate = (of_players * batch.gains[..., None, None]).sum(1).square() * power  # (B, K, F)
        remix = log_error(estimate, remix_power, self.floor).mean((0, 1))  # (F,)
        weight = inverse_bandwidth(mixture.shape[-2], model.sample_rate_hz).to(masks.device)
        loss = ((sources + self.remix * remix) * weight).mean()

        def remixes() -> tuple[Tensor, Tensor]:
            # The remix of masked spectra is the mixture times the sum of masks and gains.
            factor = (masks * (playing * batch.gains)[..., None, None]).sum(1).mT.unsqueeze(1)
            target = (batch.stems * batch.gains[..., None, None]).sum(1) / level[:, None, None]
            return model.synthesise(factor * mixture, batch.stems.shape[-1]), target

        return with_modulations(loss, self.modulation, remixes, model.sample_rate_hz)


def _targets(
    real: Tensor, imaginary: Tensor, gains: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute the terms of the loss that do not depend on the masks, summed over both channels.

    x and s are the compressed spectra of mixture and stems, see :func:`mask_error`.

    Args:
        real, imaginary: real and imaginary parts of the stems' spectra, (B, P, 2, K, F).
        gains: gains of the remix as factors, (B, P).

    Returns:
        Five terms: |x|^2 (B, 1, K, F); Re(x* s) and |s|^2, (B, P, K, F) each; the power of the
        remix and the power of the mixture, (B, K, F) each.
    """
    x_real, x_imaginary = real.sum(1), imaginary.sum(1)
    power = x_real.square() + x_imaginary.square()
    size, sizes = power.sqrt(), (real.square() + imaginary.square()).sqrt()
    # Re(X* S) / sqrt(|X| |S|), with the spectra X and S before compression.
    product = x_real.unsqueeze(1) * real + x_imaginary.unsqueeze(1) * imaginary
    product = product * (size.unsqueeze(1) * sizes + 1e-10).rsqrt()
    gains = gains[..., None, None, None]
    remix = (real * gains).sum(1).square() + (imaginary * gains).sum(1).square()
    return size.sum(1, keepdim=True), product.sum(2), sizes.sum(2), remix.sum(1), power.sum(1)


@dataclass
class EstimatesRemixLoss(RemixTerms):
    """Loss of the estimates' spectra and of their remix, for any network.

    Unlike :class:`RemixLoss`, this loss includes errors of the phase. For the arguments see
    :class:`RemixTerms`.
    """

    modulation: NotNegative = 1.0

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Compute the loss of any network; players without an output have no effect."""
        outputs = len(model.sources)
        mixture = batch.mixture
        level = mixture.square().mean((1, 2)).add(1e-12).sqrt()[:, None, None, None]  # RMS
        estimates = model(mixture, batch.present(outputs)).float()  # (B, S, 2, T)
        # Select the outputs of the P players among the S outputs. Where the index is -1, any output
        # is selected, and `playing` sets it to zero.
        index = batch.index.clamp(min=0)[..., None, None].expand_as(batch.stems)
        playing = (batch.index >= 0).float()[..., None, None]
        estimates = estimates.gather(1, index) * playing / level  # (B, P, 2, T)
        stems = batch.stems * playing / level
        with torch.autocast(stems.device.type, enabled=False):
            return self._loss(estimates, stems, batch.gains[..., None, None], model.sample_rate_hz)

    def _loss(self, estimates: Tensor, stems: Tensor, gains: Tensor, sample_rate_hz: int) -> Tensor:
        """Compute the loss of estimates and stems (B, P, 2, T), gains (B, P, 1, 1)."""
        # Frames of about 93 ms, a power of two in samples.
        length = 2 ** round(math.log2(0.093 * sample_rate_hz))
        window = torch.hann_window(length, device=stems.device)
        window = window / window.square().sum().sqrt()  # white noise of RMS 1: mean power 1 per bin
        with torch.no_grad():
            S = stft(stems, window, length // 4)  # (B, P, 2, F, K)
            target, power = compressed(S), _remix_power(S, gains)
        E = stft(estimates, window, length // 4)
        # Mean over batch and frames; sum over players, channels, real and imaginary part.
        sources = (compressed(E) - target).square().sum((1, 2, 5)).mean((0, 2))  # (F,)
        remix = log_error(_remix_power(E, gains), power, self.floor).mean((0, 2))  # (F,)
        weight = inverse_bandwidth(length // 2 + 1, sample_rate_hz).to(stems.device)
        loss = ((sources + self.remix * remix) * weight).mean()

        def remixes() -> tuple[Tensor, Tensor]:
            return (gains * estimates).sum(1), (gains * stems).sum(1)

        return with_modulations(loss, self.modulation, remixes, sample_rate_hz)


def compressed(spectra: Tensor) -> Tensor:
    """Take the square root of the magnitude, keep the phase: complex (...) -> real (..., 2)."""
    parts = torch.view_as_real(spectra)
    # The constant keeps the gradient finite at 0.
    return parts * (parts.square().sum(-1, keepdim=True) + 1e-4).pow(-0.25)


def _remix_power(spectra: Tensor, gains: Tensor) -> Tensor:
    """Compute the power of the remix in both channels.

    Args:
        spectra: spectra of the players, complex (B, P, 2, F, K).
        gains: gains of the players as factors, (B, P, 1, 1).

    Returns:
        Power of the remix, summed over both channels, (B, F, K).
    """
    remix = (spectra * gains.unsqueeze(-1)).sum(1)
    return torch.view_as_real(remix).square().sum((1, -1))
