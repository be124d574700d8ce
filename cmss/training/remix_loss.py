"""What a listener gets of a network's estimates: the sources, and their remix under random gains.

As :class:`cmss.training.losses.RemixLoss`, but on the estimates' waveforms, so for any network,
and with what their phases do wrong.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cmss.models.checkpoint import Network
from cmss.settings import NotNegative
from cmss.training.losses import FloorDb, inverse_bandwidth
from cmss.training.mixtures import Batch
from cmss.training.modulation import modulation_distance
from cmss.transforms.stft import stft

FRAME_S = 0.093  # of the spectra that are compared; to the nearest power of two samples


@dataclass
class EstimatesRemixLoss:
    """Error of compressed spectra of the sources, and of the remix's power and modulations.

    Spectra keep their phases and the square root of their magnitudes, as the ear compresses, and
    each bin counts by how wide an auditory filter is there.

    Args:
        remix: weight of the remix's log power against the sources.
        modulation: weight of the remix's modulations, see :mod:`cmss.training.modulation`.
        floor_db: what lies this far below the mean counts as silence in the remix.
        compiled: has no effect here.
    """

    remix: NotNegative = 1.0
    modulation: NotNegative = 1.0
    floor_db: FloorDb = -60.0
    compiled: bool = False

    def __post_init__(self) -> None:
        self.floor = 10 ** (self.floor_db / 10)

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
            S = stft(wanted, window, length // 4)
            target, power = compressed(S), _remix_power(S, gains)
        E = stft(got, window, length // 4)
        sources = (compressed(E) - target).square().sum((1, 2, 5)).mean((0, 2))
        remix = torch.log(_remix_power(E, gains) + self.floor) - torch.log(power + self.floor)
        weight = inverse_bandwidth(length // 2 + 1, sample_rate_hz).to(wanted.device)
        loss = ((sources + self.remix * remix.abs().mean((0, 2))) * weight).mean()
        if not self.modulation:
            return loss
        heard, meant = (gains * got).sum(1), (gains * wanted).sum(1)
        return loss + self.modulation * modulation_distance(heard, meant, sample_rate_hz)


def compressed(spectra: Tensor) -> Tensor:
    """Complex (...) with the square root of its magnitude, as real (..., 2)."""
    parts = torch.view_as_real(spectra)
    return parts * (parts.square().sum(-1, keepdim=True) + 1e-4).pow(-0.25)


def _remix_power(spectra: Tensor, gains: Tensor) -> Tensor:
    """Complex (B, P, 2, F, K), gains (B, P, 1, 1) -> power of both channels' remix, (B, F, K)."""
    remix = (spectra * gains.unsqueeze(-1)).sum(1)
    return torch.view_as_real(remix).square().sum((1, -1))
