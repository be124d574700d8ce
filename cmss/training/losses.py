"""What a separator is trained on. A loss takes the network and a batch and gives a scalar."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from cmss.errors import InputError
from cmss.models.band_masks import BandMasks
from cmss.models.checkpoint import Network
from cmss.settings import NotNegative, from_settings
from cmss.training.mixtures import Batch
from cmss.training.modulation import modulation_distance
from cmss.transforms.magnitudes import stft_magnitudes

Loss = Callable[[Network, Batch], Tensor]

Exponent = Annotated[float, Field(ge=0, le=10)]
FloorDb = Annotated[float, Field(ge=-200, le=0)]


def build_loss(make: Callable[..., Loss], settings: Mapping[str, Any], compiled: bool) -> Loss:
    """Build the loss of a preset from the section `loss` of the configuration.

    Args:
        make: the dataclass of the loss, or a partial of it with the preset's own arguments, which
            the settings override.
        settings: further arguments of the loss.
        compiled: see the losses.

    Raises:
        InputError: arguments that the loss does not have, or of another type; or no compiler.
    """
    kind: type[Any] = make.func if isinstance(make, partial) else make  # type: ignore[assignment]
    preset: dict[str, Any] = {}
    if isinstance(make, partial):
        names = [field.name for field in fields(kind)]
        preset = dict(zip(names, make.args, strict=False)) | make.keywords
    if "compiled" in settings:
        raise InputError("loss.compiled: no such setting, expected compile=true")
    if compiled and not shutil.which(os.environ.get("CXX", "g++")):
        raise InputError("compile: true, but no C++ compiler was found; install g++ or set CXX")
    return from_settings(kind, {**preset, **settings, "compiled": compiled}, "loss")


@dataclass
class WaveformLoss:
    """Error of the waveforms of the outputs that play, and of their spectra's magnitudes.

    Args:
        power: 1 for the mean absolute error, on which the challenge trained Conv-TasNet; 2 for the
            mean squared error, on which Wave-U-Net was trained.
        spectral: weight of the multi-resolution STFT loss (Yamamoto, Song and Kim 2020, "Parallel
            WaveGAN", section 2.2): of the spectral convergence and of the log magnitudes' mean
            absolute difference.
        compiled: has no effect here; torch.compile gains nothing on a difference.
    """

    power: Literal[1, 2] = 1
    spectral: NotNegative = 0.0
    compiled: bool = False

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
        compiled: has no effect here.
    """

    exponent: Exponent = 1.0
    largest: Annotated[float, Field(gt=0)] = 10.0
    compiled: bool = False

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


@dataclass
class RemixLoss:
    """Error of the masked sources, and of what a listener gets: the remix under random gains.

    Both compare compressed spectra, as the ear does, and weigh each bin by how wide an auditory
    filter is there, since the metric looks at bands that are equally spaced on that scale.

    Args:
        remix: weight of the remix's spectra against the sources.
        modulation: weight of the remix's modulations, see :mod:`cmss.training.modulation`.
        floor_db: what lies this far below the mean counts as silence in the remix.
        compiled: fuse the passes over the spectra by torch.compile, which needs a C++ compiler
            and a minute, and makes a step on two cores about a third shorter.
    """

    remix: NotNegative = 1.0
    floor_db: FloorDb = -60.0
    modulation: NotNegative = 0.0
    compiled: bool = False

    def __post_init__(self) -> None:
        self.floor = 10 ** (self.floor_db / 10)
        self._masks, self._targets, self._errors = _masks, _targets, _errors
        if self.compiled:
            self._masks = torch.compile(_masks)
            # The number of players changes from batch to batch.
            fuse = partial(torch.compile, dynamic=True)
            self._targets, self._errors = fuse(_targets), fuse(_errors)

    def __call__(self, model: Network, batch: Batch) -> Tensor:
        """Loss of a network of masks, without leaving its spectra."""
        assert isinstance(model, BandMasks)
        level = batch.mixture.square().mean((1, 2)).add(1e-12).sqrt()
        # Bins of noise at full scale then have an energy around one.
        level = level * model.window.square().sum().sqrt()
        with torch.no_grad():
            stems = model.analyse(batch.stems / level[:, None, None, None])
            mixture = stems.sum(1)
            # Real and imaginary parts each in one piece, so that loops over them vectorise.
            real, imaginary = stems.mT.real.contiguous(), stems.mT.imag.contiguous()
            targets = self._targets(real, imaginary, batch.gains)
        masks = self._masks(model, mixture, batch.present(len(model.sources)))
        index = batch.index.clamp(min=0)[..., None, None].expand(-1, -1, *masks.shape[-2:])
        masks = model.spread(masks.gather(1, index)).float()  # (B, players, K, F)
        playing = (batch.index >= 0).float()
        sources, remix = self._errors(masks, playing, batch.gains, self.floor, *targets)
        weight = inverse_bandwidth(mixture.shape[-2], model.sample_rate_hz).to(masks.device)
        loss = ((sources + self.remix * remix) * weight).mean()
        if not self.modulation:
            return loss
        factor = (masks * (playing * batch.gains)[..., None, None]).sum(1).mT.unsqueeze(1)
        got = model.synthesise(factor * mixture, batch.stems.shape[-1])
        wanted = (batch.stems * batch.gains[..., None, None]).sum(1) / level[:, None, None]
        return loss + self.modulation * modulation_distance(got, wanted, model.sample_rate_hz)


def _masks(model: BandMasks, mixture: Tensor, present: Tensor) -> Tensor:
    return model.masks(mixture, present)


def _targets(
    real: Tensor, imaginary: Tensor, gains: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What the masks are compared with, summed over both channels; no gradient is needed.

    x and s are the spectra of mixture and stems with the square root of their magnitudes.

    Args:
        real, imaginary: (B, players, 2, K, F), parts of the stems' spectra.
        gains: (B, players).

    Returns:
        |x|^2 (B, 1, K, F), Re(x* s) and |s|^2 (B, players, K, F), the power of the remix and of
        the mixture (B, K, F).
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
    mixture_energy: Tensor,
    product: Tensor,
    stem_energy: Tensor,
    remix_power: Tensor,
    mixture_power: Tensor,
) -> tuple[Tensor, Tensor]:
    """Errors of the sources and of the remix in each bin, (F,) each.

    A mask m is real and not negative, so the error of an estimate is a polynomial in its root:
    |sqrt(m) x - s|^2 = m |x|^2 - 2 sqrt(m) Re(x* s) + |s|^2.
    """
    masks = masks * playing[..., None, None]
    error = masks * mixture_energy - 2 * (masks + 1e-6).sqrt() * product + stem_energy
    got = (masks * gains[..., None, None]).sum(1).square() * mixture_power
    remix = (torch.log(got + floor) - torch.log(remix_power + floor)).abs()
    return error.sum(1).mean((0, 1)), remix.mean((0, 1))


def inverse_bandwidth(bins: int, sample_rate_hz: int) -> Tensor:
    """(bins,) inverse width of the auditory filter, mean 1 (Glasberg and Moore 1990)."""
    hz = torch.linspace(0, sample_rate_hz / 2, bins)
    weight = 1 / (24.7 * (4.37e-3 * hz + 1))
    return weight / weight.mean()
