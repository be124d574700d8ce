"""What a separator is trained on. A loss takes the network and a batch and gives a scalar."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.fourier_convtasnet import FourierConvTasNet
from cmss.training.mixtures import Batch

Loss = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class WaveformLoss:
    """Mean absolute error of the waveforms, on which the challenge trained Conv-TasNet."""

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """The network's outputs are the target (source 0) and its accompaniment (the rest)."""
        target = (batch.stems * (batch.index == 0)[..., None, None]).sum(1)
        wanted = torch.stack((target, batch.mixture - target), 1)
        return F.l1_loss(model(batch.mixture).float(), wanted)


@dataclass(frozen=True)
class RemixLoss:
    """Error of the masked sources, and of what a listener gets: the remix under random gains.

    Both compare compressed spectra, as the ear does, and weigh each bin by how wide an auditory
    filter is there, since the metric looks at bands that are equally spaced on that scale.

    Args:
        remix: weight of the remix against the sources.
        floor_db: what lies this far below the mean counts as silence in the remix.
    """

    remix: float = 1.0
    floor_db: float = -60.0

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """Loss of a :class:`FourierConvTasNet`, without leaving its spectra."""
        assert isinstance(model, FourierConvTasNet)
        with torch.no_grad():
            stems = model.analyse(batch.stems)  # (B, players, 2, F, K)
            mixture = stems.sum(1)
            scale = mixture.abs().square().mean((1, 2, 3), keepdim=True).add(1e-12).rsqrt()
            mixture, stems = mixture * scale, stems * scale.unsqueeze(1)
            products = _compressed_products(mixture, stems)
            wanted = (stems * batch.gains[..., None, None, None]).sum(1).abs().square().sum(1)
            power = mixture.abs().square().sum(1)  # (B, F, K)
        masks = model.masks(mixture, batch.present(len(model.sources)))
        index = batch.index.clamp(min=0)[..., None, None].expand(-1, -1, *masks.shape[-2:])
        playing = (batch.index >= 0)[..., None, None]
        masks = model.spread(masks.gather(1, index)).float() * playing  # (B, players, F, K)
        weight = self._weight(model, mixture.shape[-2])
        # A mask m is real and not negative, so the error of its estimate is a polynomial in its
        # root: |sqrt(m) x - s|^2 with x, s the compressed spectra, summed over both channels.
        mixture_energy, product, stem_energy = products
        error = masks * mixture_energy - 2 * (masks + 1e-6).sqrt() * product + stem_energy
        sources = (error.mean(-1).sum(1) * weight).mean()
        floor = 10 ** (self.floor_db / 10)
        got = (masks * batch.gains[..., None, None]).sum(1).square() * power
        remix = (torch.log(got + floor) - torch.log(wanted + floor)).abs()
        return sources + self.remix * (remix.mean(-1) * weight).mean()

    def _weight(self, model: FourierConvTasNet, bins: int) -> Tensor:
        """(bins,) inverse bandwidth of the auditory filter (Glasberg and Moore 1990), mean 1."""
        hz = torch.linspace(0, model.sample_rate_hz / 2, bins, device=model.window.device)
        weight = 1 / (24.7 * (4.37e-3 * hz + 1))
        return weight / weight.mean()


def _compressed_products(mixture: Tensor, stems: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energies and inner product of spectra whose magnitudes are compressed by a square root.

    Args:
        mixture: complex (B, 2, F, K).
        stems: complex (B, players, 2, F, K).

    Returns:
        |x|^2 (B, 1, F, K), Re(x* s) and |s|^2 (B, players, F, K), summed over both channels.
    """
    size, sizes = mixture.abs(), stems.abs()
    cosine = (mixture.conj().unsqueeze(1) * stems).real / (size.unsqueeze(1) * sizes + 1e-10)
    product = (size.unsqueeze(1) * sizes).sqrt() * cosine
    return size.sum(1, keepdim=True), product.sum(2), sizes.sum(2)
