"""The error of the remix that a listener gets, and losses of networks on it and on the sources.

All of them compare spectra compressed as by the ear (their phases and the square root of their
magnitudes), and the remix of the sources under random gains. Bins are weighted by the inverse
bandwidth of the auditory filter, since HAAQI has bands that are equally spaced on that scale.

Shapes: B batch, P players, T samples, F bins, K frames.
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

FRAME_S = 0.093
"""Length of the frames of :class:`EstimatesRemixLoss`, to the nearest power of two samples."""


# Terms of the error.


def inverse_bandwidth(bins: int, sample_rate_hz: int) -> Tensor:
    """(bins,) inverse bandwidth of the auditory filter, mean 1 (Glasberg and Moore 1990)."""
    hz = torch.linspace(0, sample_rate_hz / 2, bins)
    weight = 1 / (24.7 * (4.37e-3 * hz + 1))
    return weight / weight.mean()


def mask_error(masks: Tensor, mixture: Tensor, product: Tensor, stems: Tensor) -> Tensor:
    """Squared error of masked compressed spectra, of broadcastable shapes.

    A mask m is real and not negative, so with compressed spectra x and s the error is a polynomial
    in its root: |sqrt(m) x - s|^2 = m |x|^2 - 2 sqrt(m) Re(x* s) + |s|^2.

    Args:
        masks: m.
        mixture: |x|^2, the magnitude before compression.
        product: Re(x* s).
        stems: |s|^2.
    """
    # The root's gradient is infinite at 0.
    return masks * mixture - 2 * (masks + 1e-6).sqrt() * product + stems


def log_error(got: Tensor, wanted: Tensor, floor: float) -> Tensor:
    """Absolute difference of log powers; powers below `floor` count as silence."""
    return (torch.log(got + floor) - torch.log(wanted + floor)).abs()


def with_modulations(
    error: Tensor,
    weight: float,
    remixes: Callable[[], tuple[Tensor, Tensor]],
    sample_rate_hz: int,
) -> Tensor:
    """Add the distance of the remix's modulations (:mod:`cmss.training.modulation`).

    Args:
        error: scalar.
        weight: of the distance; with 0 the remixes are not computed.
        remixes: the remix of the estimates and of the stems, (B, 2, T).
        sample_rate_hz: of both.
    """
    if not weight:
        return error
    return error + weight * modulation_distance(*remixes(), sample_rate_hz)


# Losses.


@dataclass
class RemixTerms:
    """Weights of the terms of the losses below.

    Args:
        remix: weight of the remix's log power, relative to the sources.
        floor_db: power in the remix that counts as silence, relative to the mixture's mean.
        modulation: weight of the remix's modulations, see :mod:`cmss.training.modulation`.
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
    """Error of the masked sources and of their remix, for networks of masks on bands.

    Takes the network's own masks and spectra: no estimate is synthesised, except for the
    modulations. For its arguments see :class:`RemixTerms`.
    """

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Loss of a network of masks, without leaving its spectra."""
        assert isinstance(model, BandMasks)
        level = batch.mixture.square().mean((1, 2)).add(1e-12).sqrt()
        # Bins of noise at full scale then have an energy around one.
        level = level * model.window.square().sum().sqrt()
        with torch.no_grad():
            stems = model.analyse(batch.stems / level[:, None, None, None])  # (B, P, 2, F, K)
            mixture = stems.sum(1)
            # Real and imaginary parts each in one piece, so that loops over them vectorise.
            real, imaginary = stems.mT.real.contiguous(), stems.mT.imag.contiguous()
            targets = _targets(real, imaginary, batch.gains)
        masks = model.masks(mixture, batch.present(len(model.sources)))
        index = batch.index.clamp(min=0)[..., None, None].expand(-1, -1, *masks.shape[-2:])
        masks = model.spread(masks.gather(1, index)).float()  # (B, P, K, F)
        playing = (batch.index >= 0).float()
        sources, remix = _errors(masks, playing, batch.gains, self.floor, *targets)
        weight = inverse_bandwidth(mixture.shape[-2], model.sample_rate_hz).to(masks.device)
        loss = ((sources + self.remix * remix) * weight).mean()

        def remixes() -> tuple[Tensor, Tensor]:
            factor = (masks * (playing * batch.gains)[..., None, None]).sum(1).mT.unsqueeze(1)
            wanted = (batch.stems * batch.gains[..., None, None]).sum(1) / level[:, None, None]
            return model.synthesise(factor * mixture, batch.stems.shape[-1]), wanted

        return with_modulations(loss, self.modulation, remixes, model.sample_rate_hz)


def _targets(
    real: Tensor, imaginary: Tensor, gains: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What the masks are compared with, summed over both channels; no gradient is needed.

    x and s are the compressed spectra of mixture and stems.

    Args:
        real, imaginary: (B, P, 2, K, F), parts of the stems' spectra.
        gains: (B, P).

    Returns:
        |x|^2 (B, 1, K, F), Re(x* s) and |s|^2 (B, P, K, F), the power of the remix and of the
        mixture (B, K, F).
    """
    x_real, x_imaginary = real.sum(1), imaginary.sum(1)
    power = x_real.square() + x_imaginary.square()
    size, sizes = power.sqrt(), (real.square() + imaginary.square()).sqrt()
    product = x_real.unsqueeze(1) * real + x_imaginary.unsqueeze(1) * imaginary
    product = product * (size.unsqueeze(1) * sizes + 1e-10).rsqrt()
    gains = gains[..., None, None, None]
    remix = (real * gains).sum(1).square() + (imaginary * gains).sum(1).square()
    return size.sum(1, keepdim=True), product.sum(2), sizes.sum(2), remix.sum(1), power.sum(1)


def _errors(
    masks: Tensor,
    playing: Tensor,
    gains: Tensor,
    floor: float,
    mixture: Tensor,
    product: Tensor,
    stems: Tensor,
    remix_power: Tensor,
    mixture_power: Tensor,
) -> tuple[Tensor, Tensor]:
    """Errors of the sources and of the remix in each bin, (F,) each."""
    masks = masks * playing[..., None, None]
    error = mask_error(masks, mixture, product, stems)
    got = (masks * gains[..., None, None]).sum(1).square() * mixture_power
    return error.sum(1).mean((0, 1)), log_error(got, remix_power, floor).mean((0, 1))


@dataclass
class EstimatesRemixLoss(RemixTerms):
    """Error of the estimates' spectra and of their remix, for any network.

    Unlike :class:`RemixLoss` it includes errors of the phase. For its arguments see
    :class:`RemixTerms`.
    """

    modulation: NotNegative = 1.0

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Loss of any network with an output for each player; others' players do not count."""
        outputs = len(model.sources)
        mixture = batch.mixture
        level = mixture.square().mean((1, 2)).add(1e-12).sqrt()[:, None, None, None]
        estimates = model(mixture, batch.present(outputs)).float()
        index = batch.index.clamp(min=0)[..., None, None].expand_as(batch.stems)
        playing = (batch.index >= 0).float()[..., None, None]
        got = estimates.gather(1, index) * playing / level
        wanted = batch.stems * playing / level
        with torch.autocast(wanted.device.type, enabled=False):
            return self._loss(got, wanted, batch.gains[..., None, None], model.sample_rate_hz)

    def _loss(self, got: Tensor, wanted: Tensor, gains: Tensor, sample_rate_hz: int) -> Tensor:
        """Estimates and stems (B, P, 2, T), gains (B, P, 1, 1)."""
        length = 2 ** round(math.log2(FRAME_S * sample_rate_hz))
        window = torch.hann_window(length, device=wanted.device)
        window = window / window.square().sum().sqrt()  # bins of noise of level 1 have energy 1
        with torch.no_grad():
            S = stft(wanted, window, length // 4)  # (B, P, 2, F, K)
            target, power = compressed(S), _remix_power(S, gains)
        E = stft(got, window, length // 4)
        sources = (compressed(E) - target).square().sum((1, 2, 5)).mean((0, 2))  # (F,)
        remix = log_error(_remix_power(E, gains), power, self.floor).mean((0, 2))  # (F,)
        weight = inverse_bandwidth(length // 2 + 1, sample_rate_hz).to(wanted.device)
        loss = ((sources + self.remix * remix) * weight).mean()

        def remixes() -> tuple[Tensor, Tensor]:
            return (gains * got).sum(1), (gains * wanted).sum(1)

        return with_modulations(loss, self.modulation, remixes, sample_rate_hz)


def compressed(spectra: Tensor) -> Tensor:
    """Complex (...) with the square root of its magnitude, as real (..., 2)."""
    parts = torch.view_as_real(spectra)
    return parts * (parts.square().sum(-1, keepdim=True) + 1e-4).pow(-0.25)


def _remix_power(spectra: Tensor, gains: Tensor) -> Tensor:
    """Complex (B, P, 2, F, K), gains (B, P, 1, 1) -> power of both channels' remix, (B, F, K)."""
    remix = (spectra * gains.unsqueeze(-1)).sum(1)
    return torch.view_as_real(remix).square().sum((1, -1))
