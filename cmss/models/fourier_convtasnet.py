"""Implements a Conv-TasNet on the STFT; a single network separates all instruments.

The separator `convtasnet` loads this network by default. A stack of dilated convolutions estimates
the masks. This is the method of Conv-TasNet (Luo and Mesgarani 2019). The STFT replaces the learned
filterbank, because the STFT can be inverted exactly. Pariente et al. (2020, "Filterbank design for
end-to-end speech separation") discuss analytic filterbanks. The network is conditioned on the
presence of the sources. The masks sum to 1 over the sources that are present, so the sum of the
estimates is the mixture.

In shapes, B is the batch size, T the number of samples, F the number of frequency bins, G the
number of bands, K the number of frames, and S the number of sources of the network.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.band_masks import BandMasks
from cmss.models.outputs import OUTPUTS
from cmss.models.presence import presence
from cmss.models.record import NetworkRecord, Size
from cmss.models.temporal_blocks import Norm, Pointwise
from cmss.models.temporal_conv_net import TemporalConvNet
from cmss.transforms.bands import band_interpolation


@dataclass(frozen=True)
class FourierConvTasNetArguments:
    """Arguments of :class:`FourierConvTasNet`.

    Args:
        sources: names of the outputs in order. ``Violin`` is a single violin or the first of two
            violins, and ``Violin_2`` is the second violin.
        L: length of a frame in samples.
        hop: number of samples between the starts of consecutive frames.
        Q: number of low-frequency bins that are not combined. Each of these bins is a separate
            band. Above the lowest Q bins, the width of a band is 1/Q of the band's frequency.
        B, H, P, X, R: arguments that :class:`cmss.models.convtasnet.ConvTasNetArguments` describes.
        samplerate: sampling rate of the network in Hz.
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


class FourierConvTasNet(BandMasks):
    """Multiplies the spectra of the mixture by a mask for each source that is present.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T). Outputs of
        absent sources are zero. The sum of the sources is the mixture.
    """

    model_name = "fourier_convtasnet"

    def __init__(self, arguments: FourierConvTasNetArguments) -> None:
        a = arguments
        to_bins = band_interpolation(a.L // 2 + 1, a.Q)
        to_bands = to_bins / to_bins.sum(0)
        super().__init__(a, a.L, a.hop, to_bands, to_bins)
        bands = to_bins.shape[1]
        self.norm = Norm(4 * bands, "gLN")
        self.bottleneck = Pointwise(4 * bands, a.B, bias=True)
        self.presence = nn.Linear(len(a.sources), a.B, bias=False)
        self.blocks = TemporalConvNet(a.B, a.H, a.P, a.X, a.R, "gLN", causal=False)
        self.scores = Pointwise(a.B, len(a.sources) * bands, bias=True)

    def masks(self, spectra: Tensor, present: Tensor) -> Tensor:
        """Estimate masks (B, S, K, G) from spectra (B, 2, F, K).

        The masks sum to 1 over the sources.

        Raises:
            ValueError: in at least one example, no source is present.
        """
        present = presence(present, spectra, len(self.sources))
        # Powers span ten decades, which is more than half precision can represent.
        with torch.autocast(spectra.device.type, enabled=False):
            features = self.norm(self.features(spectra))  # (B, K, 4 G)
        # (batch, K, B); the embedding of presence is the same in all frames.
        x = self.bottleneck(features) + self.presence(present.to(features.dtype)).unsqueeze(1)
        # (batch, K, B) -> (batch, K, S G) -> (batch, K, S, G)
        scores = self.scores(self.blocks(x)).float().unflatten(-1, (len(self.sources), -1))
        scores = scores.masked_fill(~present[:, None, :, None], -torch.inf)
        return F.softmax(scores, dim=2).transpose(1, 2)  # (B, S, K, G)


# fmt: off
RECORD = NetworkRecord(
    name="convtasnet",
    network=FourierConvTasNet,
    arguments=FourierConvTasNetArguments,
    summary="masks on a spectrogram by the same convolutions",
    sizes={
        "small": Size({"sources": OUTPUTS}, "remix"),
    },
    licence="mit",
    data=("SCORES", "NOTES", "PHILHARMONIA", "GENERAL_USER", "SYNTHETIC_NOTES"),
)
# fmt: on
