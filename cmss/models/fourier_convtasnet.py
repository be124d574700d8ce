"""Conv-TasNet on a fixed Fourier basis, one network for all instruments: the `small` size.

The separator of Conv-TasNet (Luo and Mesgarani 2019), a stack of dilated convolutions that
estimates masks, between an analytic encoder whose magnitudes it sees (Pariente et al. 2020,
"Filterbank design for end-to-end speech separation", here with the Fourier basis left fixed) and
the exact inverse of that encoder. It is told which sources are present, so that its masks sum to
one over those, and so do its estimates to the mixture.

Shapes: B batch, T samples, F frequency bins, G bands, K frames, S sources of the network.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.convtasnet import GlobalLayerNorm, Pointwise, temporal_conv_net
from cmss.transforms.stft import istft, stft


@dataclass(frozen=True)
class FourierConvTasNetArguments:
    """Arguments of :class:`FourierConvTasNet`; the capitals are those of Conv-TasNet.

    Args:
        sources: names of the outputs in order; ``Violin`` is also the first of two violins,
            ``Violin_2`` the second.
        L: length of a frame in samples.
        hop: samples from frame to frame.
        Q: bins that are bands of their own; above, a band is 1/Q of its frequency wide.
        B, H, P, X, R: as in Conv-TasNet.
        samplerate: sampling rate in Hz that the network works at.
    """

    sources: tuple[str, ...]
    L: int = 2048
    hop: int = 512
    Q: int = 150
    B: int = 224
    H: int = 384
    P: int = 3
    X: int = 6
    R: int = 3
    samplerate: int = 22050

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))


class FourierConvTasNet(nn.Module):
    """Soft masks on the mixture's spectra, one for each source that is present.

    Shape:
        - mixture (B, 2, T); present, bool (B, S), all by default
        - output (B, S, 2, T); absent sources are zero, present ones sum to the mixture
    """

    window: Tensor
    to_bands: Tensor
    to_bins: Tensor

    def __init__(self, arguments: FourierConvTasNetArguments) -> None:
        super().__init__()
        self.arguments = arguments
        a = arguments
        to_bins = band_interpolation(a.L // 2 + 1, a.Q)
        self.register_buffer("window", torch.hann_window(a.L), persistent=False)
        self.register_buffer("to_bins", to_bins, persistent=False)
        self.register_buffer("to_bands", to_bins / to_bins.sum(0), persistent=False)
        bands = to_bins.shape[1]
        self.norm = GlobalLayerNorm(4 * bands)
        self.bottleneck = Pointwise(4 * bands, a.B, bias=True)
        self.presence = nn.Linear(len(a.sources), a.B, bias=False)
        self.blocks = temporal_conv_net(a.B, a.H, a.P, a.X, a.R, "gLN", causal=False)
        self.scores = Pointwise(a.B, len(a.sources) * bands, bias=True)

    @property
    def sample_rate_hz(self) -> int:
        """Sampling rate that the network works at."""
        return self.arguments.samplerate

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the outputs in order."""
        return self.arguments.sources

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, 2, T) -> (B, S, 2, T)."""
        if present is None:
            present = mixture.new_ones(len(mixture), len(self.sources), dtype=torch.bool)
        spectra = self.analyse(mixture)
        masks = self.spread(self.masks(spectra, present)).mT
        return self.synthesise(masks.unsqueeze(2) * spectra.unsqueeze(1), mixture.shape[-1])

    def analyse(self, signal: Tensor) -> Tensor:
        """(..., T) -> complex (..., F, K)."""
        return stft(signal, self.window, self.arguments.hop)

    def synthesise(self, spectra: Tensor, samples: int) -> Tensor:
        """Complex (..., F, K) -> (..., T)."""
        return istft(spectra, self.window, self.arguments.hop, samples)

    def masks(self, spectra: Tensor, present: Tensor) -> Tensor:
        """Mixture's spectra (B, 2, F, K), bool (B, S) -> masks (B, S, K, G) that sum to one.

        Raises:
            ValueError: an example has no source that is present, so nothing to divide it among.
        """
        if not present.any(1).all():
            raise ValueError("present: an example without any source")
        with torch.autocast(spectra.device.type, enabled=False):  # powers span ten decades
            features = self.norm(self.features(spectra))
        x = self.bottleneck(features) + self.presence(present.to(features.dtype)).unsqueeze(1)
        scores = self.scores(self.blocks(x)).float().unflatten(-1, (len(self.sources), -1))
        scores = scores.masked_fill(~present[:, None, :, None], -torch.inf)
        return F.softmax(scores, dim=2).transpose(1, 2)

    def spread(self, masks: Tensor) -> Tensor:
        """From bands to bins: (..., K, G) -> (..., K, F)."""
        return F.linear(masks, self.to_bins)

    def features(self, spectra: Tensor) -> Tensor:
        """Where the energy lies and which way it comes from: (B, 2, F, K) -> (B, K, 4 G).

        Level of each channel in bels relative to the excerpt's mean, and the normalised
        cross-spectrum (its real and imaginary part), which holds the direction of arrival.
        """
        left, right = spectra.mT.unbind(1)
        cross = left * right.conj()
        energies = (left.abs().square(), right.abs().square(), cross.real, cross.imag)
        banded = F.linear(torch.stack(energies, 1), self.to_bands.T)
        power, cross_power = banded.split(2, dim=1)  # (B, 2, K, G) each
        mean = power.mean((1, 2, 3), keepdim=True) + 1e-12
        level = torch.log10(power / mean + 1e-7)
        direction = cross_power / (power.prod(1, keepdim=True).sqrt() + 1e-7 * mean)
        return torch.cat((level, direction), 1).transpose(1, 2).flatten(2)


def band_interpolation(bins: int, Q: int) -> Tensor:
    """Weights (bins, bands) that spread a value per band over the bins; each row sums to one.

    The lowest Q bins are bands of their own, so that low notes' partials are told apart; above,
    the distance from band to band is 1/Q of the frequency, and bins in between are interpolated.
    """
    centres = [0.0]
    while centres[-1] < bins - 1:
        centres.append(centres[-1] + max(1.0, centres[-1] / Q))
    centres[-1] = bins - 1
    centre = torch.tensor(centres)
    position = torch.arange(bins, dtype=torch.float32)
    above = torch.searchsorted(centre, position).clamp(1, len(centres) - 1)
    weight = (position - centre[above - 1]) / (centre[above] - centre[above - 1])
    weights = torch.zeros(bins, len(centres))
    rows = torch.arange(bins)
    weights[rows, above - 1] = 1 - weight
    weights[rows, above] = weight
    return weights
