"""Base class of networks that estimate masks in frequency bands from the spectra of the mixture.

The network estimates a mask in bands for each source that is present. The masks are interpolated
from bands to bins. The spectra of the mixture are multiplied by the masks, and the products are
transformed to waveforms. The inputs of the network are the levels and directions of arrival that
:func:`stereo_features` computes.

In shapes, B is the batch size, T the number of samples, F the number of frequency bins, G the
number of bands, K the number of frames, S the number of sources of the network, and P the largest
number of sources that are present in an example.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cmss.models.network import Network
from cmss.models.presence import in_places, listed, of_players, presence
from cmss.transforms.stft import istft, stft


class BandMasks(Network, ABC):
    """Applies masks to the STFT of the mixture; subclasses implement :meth:`masks`.

    Args:
        arguments: arguments of the network.
        L: length of the Hann window and of a frame in samples.
        hop: number of samples between the starts of consecutive frames.
        to_bands: weights by which bins are averaged into bands, an array of shape (F, G).
        to_bins: weights by which bands are interpolated to bins, an array of shape (F, G). In
            `to_bins`, the weights of each bin sum to 1.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T). Outputs of
        absent sources are zero.
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
            spectra: spectra of the mixture, a complex array of shape (B, 2, F, K).
            present: whether each source is present, a bool array of shape (B, S).

        Returns:
            The masks, an array of shape (B, S, K, G); the masks of absent sources are zero.

        Raises:
            ValueError: in at least one example, no source is present.
        """

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """Separate mixtures (B, 2, T) into sources (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        players, _ = listed(present)  # (B, P): only these sources are synthesised
        spectra = self.analyse(mixture)  # (B, 2, F, K)
        masks = of_players(self.masks(spectra, present), players)  # (B, P, K, G)
        masks = self.spread(masks).mT.unsqueeze(2)  # (B, P, 1, F, K)
        # Both channels have the same mask: (B, P, 1, F, K) * (B, 1, 2, F, K)
        estimates = self.synthesise(masks * spectra.unsqueeze(1), mixture.shape[-1])
        return in_places(estimates, players, len(self.sources))

    def analyse(self, signal: Tensor) -> Tensor:
        """Compute the complex STFT (..., F, K) of signals (..., T)."""
        return stft(signal, self.window, self.hop)

    def synthesise(self, spectra: Tensor, samples: int) -> Tensor:
        """Compute the signals (..., T) of complex spectra (..., F, K) by the inverse STFT."""
        return istft(spectra, self.window, self.hop, samples)

    def spread(self, masks: Tensor) -> Tensor:
        """Interpolate masks of bands (..., K, G) to masks of bins (..., K, F)."""
        return F.linear(masks, self.to_bins)

    def features(self, spectra: Tensor) -> Tensor:
        """Compute :func:`stereo_features` (B, K, 4 G) in bands from spectra (B, 2, F, K)."""
        left, right = spectra.mT.unbind(1)  # (B, K, F) each
        cross = left * right.conj()
        energies = (left.abs().square(), right.abs().square(), cross.real, cross.imag)
        banded = F.linear(torch.stack(energies, 1), self.to_bands.T)  # (B, 4, K, G)
        power, cross_power = banded.split(2, dim=1)  # (B, 2, K, G) each
        # (B, 4, K, G) -> (B, K, 4, G) -> (B, K, 4 G)
        return stereo_features(power, cross_power).transpose(1, 2).flatten(2)


def stereo_features(power: Tensor, cross: Tensor) -> Tensor:
    """Compute the level of each channel and the direction of arrival.

    Levels are in bels relative to the mean power of the excerpt. The direction of arrival is
    represented by a ratio. The numerator is the cross-spectrum of both channels. The denominator is
    the geometric mean of the powers of both channels.

    Args:
        power: power of both channels, an array of shape (B, 2, ...). The last two axes are a time
            axis (frames) and a frequency axis (bins or bands), in any order.
        cross: real and imaginary part of left * conj(right), an array with the shape of `power`.

    Returns:
        The levels of both channels and the real and imaginary part of the direction, an array of
        shape (B, 4, ...).
    """
    mean = power.mean((1, 2, 3), keepdim=True) + 1e-12  # (B, 1, 1, 1), not zero in silence
    level = torch.log10(power / mean + 1e-7)  # (B, 2, ...), at least -70 dB
    # The same limit makes the direction tend to zero where a channel is silent.
    direction = cross / (power.prod(1, keepdim=True).sqrt() + 1e-7 * mean)  # (B, 2, ...)
    return torch.cat((level, direction), 1)
