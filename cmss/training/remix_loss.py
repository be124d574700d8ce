"""Computes losses that compare both the sources and their remix with the ground truth.

The remix is compared because listeners hear the remix, not the sources. The estimated sources and
the stems are compared in the form of compressed spectra. Compression replaces each magnitude by its
square root, similar to the compression in the ear, and keeps the phase. The remixes are compared in
the form of log powers. Each frequency bin is weighted by the inverse bandwidth of the auditory
filter at the frequency of the bin, because the bands of HAAQI are equally spaced on the ERB-rate
scale.

In shapes, B is the size of the batch, S the number of outputs of the network, P the number of
players in an example, T the number of samples, F the number of bins, and K the number of frames.
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
    """Return the inverse bandwidth (bins,) of the auditory filter in each bin; the mean is 1.

    Source: Glasberg and Moore 1990.
    """
    hz = torch.linspace(0, sample_rate_hz / 2, bins)
    weight = 1 / (24.7 * (4.37e-3 * hz + 1))
    return weight / weight.mean()


def mask_error(masks: Tensor, mixture: Tensor, product: Tensor, stems: Tensor) -> Tensor:
    """Compute the squared error of spectra that are masked and then compressed.

    A mask m is real and not negative. Let x and s be the compressed spectra of mixture and stem.
    The error is a polynomial in sqrt(m): |sqrt(m) x - s|^2 = m |x|^2 - 2 sqrt(m) Re(x* s) + |s|^2.

    Args:
        masks: values of the mask m.
        mixture: |x|^2, which is the magnitude of the mixture before compression.
        product: Re(x* s), the real part of the product of both compressed spectra.
        stems: |s|^2, which is the magnitude of the stems before compression. All arguments are
            broadcast to a common shape.
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
    """Return the sum of another loss and the modulation loss of the remix.

    The module :mod:`cmss.training.modulation` computes the modulation loss.

    Args:
        error: the other loss, a scalar.
        weight: weight of the modulation loss; if the weight is 0, the remixes are not computed.
        remixes: function that returns the remix (B, 2, T) of the estimates and the remix (B, 2, T)
            of the stems.
        sample_rate_hz: sampling rate of both remixes.
    """
    if not weight:
        return error
    return error + weight * modulation_distance(*remixes(), sample_rate_hz)


# Losses.


@dataclass
class RemixTerms:
    """Holds the weights of the terms of :class:`RemixLoss` and :class:`EstimatesRemixLoss`.

    Args:
        remix: weight of the error of the remix, relative to the error of the sources.
        floor_db: power below which the remix counts as silence, in dB relative to the mean power of
            the mixture.
        modulation: weight of the modulation loss of the remix.
    """

    remix: NotNegative = 1.0
    floor_db: Annotated[float, Field(ge=-200, le=0)] = -60.0
    modulation: NotNegative = 0.0

    @property
    def floor(self) -> float:
        """The value of `floor_db`, converted from dB to a ratio of powers."""
        return 10 ** (self.floor_db / 10)


@dataclass
class RemixLoss(RemixTerms):
    """Computes the loss of networks that estimate a mask for each frequency band.

    The loss compares the masked sources with the stems, and the remix of the masked sources with
    the remix of the stems. The loss is computed from masks and spectra. Waveforms are synthesised
    only for the modulation loss. The arguments are explained in :class:`RemixTerms`.
    """

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Compute the loss of a network that estimates a mask for each frequency band."""
        assert isinstance(model, BandMasks)
        level = batch.mixture.square().mean((1, 2)).add(1e-12).sqrt()  # RMS, (B,)
        # Scale the level so that the spectrum of white noise has a mean power of 1 in each bin.
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
            # The remix of masked spectra equals the mixture multiplied by the sum of gain times
            # mask.
            factor = (masks * (playing * batch.gains)[..., None, None]).sum(1).mT.unsqueeze(1)
            target = (batch.stems * batch.gains[..., None, None]).sum(1) / level[:, None, None]
            return model.synthesise(factor * mixture, batch.stems.shape[-1]), target

        return with_modulations(loss, self.modulation, remixes, model.sample_rate_hz)


def _targets(
    real: Tensor, imaginary: Tensor, gains: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute those parts of the loss that do not depend on the masks, summed over both channels.

    Let x and s be the compressed spectra of the mixture and the stems, as in :func:`mask_error`.

    Args:
        real, imaginary: real and imaginary parts (B, P, 2, K, F) of the spectra of the stems.
        gains: factors (B, P) of the players in the remix.

    Returns:
        Five arrays: |x|^2 with shape (B, 1, K, F), Re(x* s) and |s|^2 with shape (B, P, K, F), and
        the powers of the remix and of the mixture with shape (B, K, F).
    """
    x_real, x_imaginary = real.sum(1), imaginary.sum(1)
    power = x_real.square() + x_imaginary.square()
    size, sizes = power.sqrt(), (real.square() + imaginary.square()).sqrt()
    # Re(x* s) equals Re(X* S) / sqrt(|X| |S|), where X and S are the spectra before compression.
    product = x_real.unsqueeze(1) * real + x_imaginary.unsqueeze(1) * imaginary
    product = product * (size.unsqueeze(1) * sizes + 1e-10).rsqrt()
    gains = gains[..., None, None, None]
    remix = (real * gains).sum(1).square() + (imaginary * gains).sum(1).square()
    return size.sum(1, keepdim=True), product.sum(2), sizes.sum(2), remix.sum(1), power.sum(1)


@dataclass
class EstimatesRemixLoss(RemixTerms):
    """Computes the loss of any network from the spectra of the estimates and of their remix.

    Unlike :class:`RemixLoss`, this loss includes errors of the phase. The arguments are explained
    in :class:`RemixTerms`.
    """

    modulation: NotNegative = 1.0

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Compute the loss of any network; players that are not estimated have no effect."""
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
        """Compute the loss from estimates and stems (B, P, 2, T) and from gains (B, P, 1, 1)."""
        # Frames last about 93 ms; their number of samples is a power of two.
        length = 2 ** round(math.log2(0.093 * sample_rate_hz))
        window = torch.hann_window(length, device=stems.device)
        window = window / window.square().sum().sqrt()  # white noise of RMS 1: mean power 1 per bin
        with torch.no_grad():
            S = stft(stems, window, length // 2)  # (B, P, 2, F, K)
            power = _remix_power(S, gains)
        E = stft(estimates, window, length // 2)
        # Mean over batch and frames; sum over players and channels.
        sources = compressed_error(E, S).sum((1, 2)).mean((0, 2))  # (F,)
        remix = log_error(_remix_power(E, gains), power, self.floor).mean((0, 2))  # (F,)
        weight = inverse_bandwidth(length // 2 + 1, sample_rate_hz).to(stems.device)
        loss = ((sources + self.remix * remix) * weight).mean()

        def remixes() -> tuple[Tensor, Tensor]:
            return (gains * estimates).sum(1), (gains * stems).sum(1)

        return with_modulations(loss, self.modulation, remixes, sample_rate_hz)


def compressed_error(estimates: Tensor, stems: Tensor) -> Tensor:
    """Compute the squared error of compressed spectra: magnitudes are replaced by square roots.

    Let y and s be the compressed spectra of the complex arrays `estimates` and `stems`. The error
    is computed from real arrays: |y - s|^2 = |y|^2 - 2 Re(y* s) + |s|^2.
    """
    power, stem_power = estimates.abs().square(), stems.abs().square()
    # The constant keeps the gradients finite at 0.
    factor, stem_factor = (power + 1e-4).rsqrt(), (stem_power + 1e-4).rsqrt()
    product = (estimates * stems.conj()).real * (factor * stem_factor).sqrt()
    return power * factor - 2 * product + stem_power * stem_factor


def _remix_power(spectra: Tensor, gains: Tensor) -> Tensor:
    """Compute the power of the remix in both channels.

    Args:
        spectra: complex spectra (B, P, 2, F, K) of the players.
        gains: factors (B, P, 1, 1) of the players in the remix.

    Returns:
        The power (B, F, K) of the remix, summed over both channels.
    """
    remix = (spectra * gains.unsqueeze(-1)).sum(1)
    return torch.view_as_real(remix).square().sum((1, -1))
