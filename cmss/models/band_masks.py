"""Base of networks that estimate soft masks in frequency bands, and features of stereo mixtures.

The network estimates a mask in bands for each source that is present. Masks are interpolated to
bins and applied to the spectra of the mixture, and the result is transformed back. The inputs of
mask-estimating networks are :func:`stereo_features`: levels and directions of arrival.

Shapes: B batch, T samples, F frequency bins, G bands, K frames, S sources of the network.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cmss.models.network import Network
from cmss.models.presence import presence
from cmss.transforms.stft import istft, stft


class BandMasks(Network, ABC):
    """Analysis, application of masks and synthesis; subclasses implement :meth:`masks`.

    Args:
        arguments: of the network.
        L: length of a frame in samples, with a Hann window.
        hop: samples from frame to frame.
        to_bands: (F, G) weights that average bins into bands.
        to_bins: (F, G) weights that spread bands over bins; each row sums to 1.

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
        """Estimate masks.

        Args:
            spectra: of the mixture, complex (B, 2, F, K).
            present: bool (B, S).

        Returns:
            (B, S, K, G), zero for absent sources.

        Raises:
            ValueError: an example has no source that is present.
        """

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """Separate: (B, 2, T) -> (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        spectra = self.analyse(mixture)  # (B, 2, F, K)
        masks = self.spread(self.masks(spectra, present)).mT  # (B, S, F, K)
        # The same mask for both channels: (B, S, 1, F, K) * (B, 1, 2, F, K)
        return self.synthesise(masks.unsqueeze(2) * spectra.unsqueeze(1), mixture.shape[-1])

    def analyse(self, signal: Tensor) -> Tensor:
        """Compute the STFT: (..., T) -> complex (..., F, K)."""
        return stft(signal, self.window, self.hop)

    def synthesise(self, spectra: Tensor, samples: int) -> Tensor:
        """Invert the STFT: complex (..., F, K) -> (..., T)."""
        return istft(spectra, self.window, self.hop, samples)

    def spread(self, masks: Tensor) -> Tensor:
        """Interpolate masks from bands to bins: (..., K, G) -> (..., K, F)."""
        return F.linear(masks, self.to_bins)

    def features(self, spectra: Tensor) -> Tensor:
        """Compute :func:`stereo_features` in bands: (B, 2, F, K) -> (B, K, 4 G)."""
        left, right = spectra.mT.unbind(1)  # (B, K, F) each
        cross = left * right.conj()
        energies = (left.abs().square(), right.abs().square(), cross.real, cross.imag)
        banded = F.linear(torch.stack(energies, 1), self.to_bands.T)  # (B, 4, K, G)
        power, cross_power = banded.split(2, dim=1)  # (B, 2, K, G) each
        # (B, 4, K, G) -> (B, K, 4, G) -> (B, K, 4 G)
        return stereo_features(power, cross_power).transpose(1, 2).flatten(2)


def stereo_features(power: Tensor, cross: Tensor) -> Tensor:
    """Compute the level of each channel and the direction of arrival.

    Levels are in bels relative to the mean of the excerpt. The direction is the cross-spectrum,
    normalised by the geometric mean of both powers, with real and imaginary part.

    Args:
        power: of both channels, (B, 2, ...) with two more axes, frames and bins or bands.
        cross: real and imaginary part of left * conj(right), of the same shape.

    Returns:
        (B, 4, ...).
    """
    mean = power.mean((1, 2, 3), keepdim=True) + 1e-12  # (B, 1, 1, 1), not zero in silence
    level = torch.log10(power / mean + 1e-7)  # (B, 2, ...), at least -70 dB
    # The same limit makes the direction tend to zero where a channel is silent.
    direction = cross / (power.prod(1, keepdim=True).sqrt() + 1e-7 * mean)  # (B, 2, ...)
    return torch.cat((level, direction), 1)
