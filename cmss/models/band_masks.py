"""Networks of soft masks on bands of the mixture's Fourier spectra.

Between an analytic encoder and its exact inverse such a network estimates a mask for each source
that is present, coarser in frequency than the spectra and spread over their bins.

Shapes: B batch, T samples, F frequency bins, G bands, K frames, S sources of the network.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cmss.models.network import Network
from cmss.models.presence import presence
from cmss.models.stereo_features import stereo_features
from cmss.transforms.stft import istft, stft


class BandMasks(Network, ABC):
    """All but how masks are estimated.

    Args:
        arguments: of the network.
        L: length of a frame in samples; the window is Hann's.
        hop: samples from frame to frame.
        to_bands: (F, G) weights that average bins into bands.
        to_bins: (F, G) weights that spread bands over bins; each row sums to one.

    Shape:
        - mixture (B, 2, T); present, bool (B, S), all by default
        - output (B, S, 2, T); absent sources are zero
    """

    window: Tensor
    to_bands: Tensor
    to_bins: Tensor

    def __init__(self, arguments: Any, L: int, hop: int, to_bands: Tensor, to_bins: Tensor) -> None:
        super().__init__(arguments)
        self.hop = hop
        self.register_buffer("window", torch.hann_window(L), persistent=False)
        self.register_buffer("to_bins", to_bins, persistent=False)
        self.register_buffer("to_bands", to_bands, persistent=False)

    @abstractmethod
    def masks(self, spectra: Tensor, present: Tensor) -> Tensor:
        """Mixture's spectra (B, 2, F, K), bool (B, S) -> masks (B, S, K, G), absent ones zero.

        Raises:
            ValueError: an example has no source that is present.
        """

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, 2, T) -> (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        spectra = self.analyse(mixture)
        masks = self.spread(self.masks(spectra, present)).mT
        return self.synthesise(masks.unsqueeze(2) * spectra.unsqueeze(1), mixture.shape[-1])

    def analyse(self, signal: Tensor) -> Tensor:
        """(..., T) -> complex (..., F, K)."""
        return stft(signal, self.window, self.hop)

    def synthesise(self, spectra: Tensor, samples: int) -> Tensor:
        """Complex (..., F, K) -> (..., T)."""
        return istft(spectra, self.window, self.hop, samples)

    def spread(self, masks: Tensor) -> Tensor:
        """From bands to bins: (..., K, G) -> (..., K, F)."""
        return F.linear(masks, self.to_bins)

    def features(self, spectra: Tensor) -> Tensor:
        """Where the energy lies and which way it comes from: (B, 2, F, K) -> (B, K, 4 G).

        In bands, see :func:`stereo_features`.
        """
        left, right = spectra.mT.unbind(1)
        cross = left * right.conj()
        energies = (left.abs().square(), right.abs().square(), cross.real, cross.imag)
        banded = F.linear(torch.stack(energies, 1), self.to_bands.T)
        power, cross_power = banded.split(2, dim=1)  # (B, 2, K, G) each
        return stereo_features(power, cross_power).transpose(1, 2).flatten(2)
