"""Base class of networks that estimate soft masks in frequency bands, and their input features.

The network estimates a mask in bands for each source that is present. Masks are interpolated to
bins and applied to the spectra of the mixture, and the result is transformed back to a waveform.
The inputs of the network are :func:`stereo_features`: levels and directions of arrival.

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
    """Applies masks to the STFT of the mixture; subclasses implement :meth:`masks`.

    Args:
        arguments: arguments of the network.
        L: length of the Hann window and of a frame in samples.
        hop: number of samples from frame to frame.
        to_bands: weights by which bins are averaged in bands, (F, G).
        to_bins: weights by which bands are interpolated to bins, (F, G); each row sums to 1.

    Shape:
        - mixture (B, 2, T); sources that are present, bool (B, S), all sources by default
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
        """Estimate the masks of all sources in bands.

        Args:
            spectra: spectra of the mixture, complex (B, 2, F, K).
            present: whether each source is present, bool (B, S).

        Returns:
            The masks, (B, S, K, G), zero for absent sources.

        Raises:
            ValueError: an example has no source that is present.
        """

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """Separate: (B, 2, T) -> (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        spectra = self.analyse(mixture)  # (B, 2, F, K)
        masks = self.spread(self.masks(spectra, present)).mT  # (B, S, F, K)
        # Both channels have the same mask: (B, S, 1, F, K) * (B, 1, 2, F, K)
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

    Levels are in bels relative to the mean power of the excerpt. The direction is represented by
    the cross-spectrum of both channels, which is divided by the geometric mean of their powers.

    Args:
        power: power of both channels, (B, 2, ...), with two further axes: frames, and bins or
            bands.
        cross: real and imaginary part of left * conj(right), with the same shape as `power`.

    Returns:
        Levels of both channels, and real and imaginary part of the direction, (B, 4, ...).
    """
    mean = power.mean((1, 2, 3), keepdim=True) + 1e-12  # (B, 1, 1, 1), not zero in silence
    level = torch.log10(power / mean + 1e-7)  # (B, 2, ...), at least -70 dB
    # The same limit makes the direction tend to zero where a channel is silent.
    direction = cross / (power.prod(1, keepdim=True).sqrt() + 1e-7 * mean)  # (B, 2, ...)
    return torch.cat((level, direction), 1)
