"""Multichannel U-Net (Kadandale, Montesinos, Haro and Gomez 2020).

"Multi-channel U-Net for Music Source Separation", IEEE MMSP: one U-Net with an output channel for
each source estimates masks from a spectrogram on a logarithmic frequency axis. The defaults are the
published configuration, after the authors' code, vskadandale/multichannel-unet-bss (MIT; see
NOTICE).

Shapes: B batch, T samples, F frequency bins, G bands, K frames, S sources, C channels.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.band_masks import BandMasks
from cmss.models.outputs import OUTPUTS
from cmss.models.presence import listed, presence
from cmss.models.record import NetworkRecord, Size
from cmss.models.temporal_blocks import GlobalLayerNorm
from cmss.scenes import INSTRUMENTS
from cmss.transforms.bands import stretch, unwarp, warp
from cmss.transforms.directions import direction_likelihoods

SLOPE = 0.1  # of LeakyReLU
ITERATIONS = 2  # of directions between two passes
DOUBT = 1e-4  # least share of a source, as directions begin


@dataclass(frozen=True)
class MultichannelUNetArguments:
    """Arguments of :class:`MultichannelUNet`.

    Args:
        sources: names of the outputs in order.
        samplerate: sampling rate in Hz that the network works at.
        n_fft: length of a frame in samples.
        hop: samples from frame to frame.
        bands: points of the logarithmic frequency axis, a multiple of 2 ** (len(dims) - 1).
        dims: channels of each level.
        convolutions: how many each level has on either side.
        dropout: share of channels left out after the convolutions on the way up.
        features: mono (log magnitude of the mean of both channels) or stereo (level of each
            channel, and the direction of arrival).
        masks: relu (each for itself) or softmax (they sum to one over the sources present).
        conditioned: whether the network is told who is present, on every level.
        harmonics: multiples of a band's frequency at which the features are planes of their own,
            so that a filter sees a note's partials side by side (Bittner et al. 2017, "Deep
            salience representations for F0 estimation in polyphonic music", ISMIR, section 3.1).
        passes: how often the network looks at a mixture. From the second time on it knows its own
            masks, and whose direction each band comes from by these masks.
    """

    sources: tuple[str, ...]
    samplerate: int = 10880
    n_fft: int = 1022
    hop: int = 256
    bands: int = 256
    dims: tuple[int, ...] = (32, 64, 128, 256, 512, 1024, 2048)
    convolutions: int = 2
    dropout: float = 0.1
    features: str = "mono"
    masks: str = "relu"
    conditioned: bool = False
    harmonics: tuple[float, ...] = ()
    passes: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        object.__setattr__(self, "harmonics", tuple(self.harmonics))
        object.__setattr__(self, "dims", tuple(self.dims))
        if self.features not in ("mono", "stereo"):
            raise ValueError(f"features is mono or stereo, not {self.features!r}")
        if self.masks not in ("relu", "softmax"):
            raise ValueError(f"masks is relu or softmax, not {self.masks!r}")
        if len(self.dims) < 2 or self.convolutions < 1:
            raise ValueError("expected at least two dims and one of the convolutions")
        if self.bands % self.reduction:
            raise ValueError(f"bands must be a multiple of {self.reduction}, not {self.bands}")

    @property
    def reduction(self) -> int:
        """By how much the lowest level is coarser than the first."""
        return 2 ** (len(self.dims) - 1)


class MultichannelUNet(BandMasks):
    """Soft masks on the mixture's spectra, from a U-Net over frames and bands.

    Shape:
        - mixture (B, 2, T); present, bool (B, S), all by default
        - output (B, S, 2, T); absent sources are zero, with softmax present ones sum to the mixture
    """

    model_name = "multichannel_unet"

    to_harmonics: Tensor | None

    def __init__(self, arguments: MultichannelUNetArguments) -> None:
        a = arguments
        bins = a.n_fft // 2 + 1
        to_bands, to_bins = warp(bins, a.bands), unwarp(bins, a.bands)
        if a.features == "stereo":
            # Energies: a band that is wider than a bin holds that of all its bins, not of two.
            to_bands = torch.maximum(to_bands, to_bins)
            to_bands = to_bands / to_bands.sum(0)
        super().__init__(a, a.n_fft, a.hop, to_bands, to_bins)
        self.planes = 4 if a.features == "stereo" else 1
        self.norm = GlobalLayerNorm(4 * a.bands) if a.features == "stereo" else None
        stretched = [stretch(a.bands, factor) for factor in a.harmonics]
        self.register_buffer(
            "to_harmonics", torch.stack(stretched) if stretched else None, persistent=False
        )
        known = 2 * len(a.sources) if a.passes > 1 else 0
        self.unet = UNet(self.planes * (1 + len(stretched)) + known, len(a.sources), a)

    def masks(self, spectra: Tensor, present: Tensor) -> Tensor:
        """Mixture's spectra (B, 2, F, K), bool (B, S) -> masks (B, S, K, G), absent ones zero.

        Raises:
            ValueError: an example has no source that is present.
        """
        present = presence(present, spectra, len(self.sources))
        with torch.autocast(spectra.device.type, enabled=False):  # powers span ten decades
            if self.norm is None:
                features = self.levels(spectra)
            else:
                features = self.norm(self.features(spectra))
        image = features.unflatten(-1, (self.planes, -1)).transpose(1, 2)
        if self.to_harmonics is not None:
            image = torch.cat((image, *(F.linear(image, one) for one in self.to_harmonics)), 1)
        passes = self.arguments.passes
        if passes == 1:
            return self._look(image, present)
        known = image.new_zeros(len(image), 2 * len(self.sources), *image.shape[2:])
        with torch.no_grad():
            for look in range(1, passes):
                # In training some examples stay behind, so that each look is trained on as many.
                on = slice(len(image) * look // passes if self.training else 0, None)
                masks = self._look(torch.cat((image[on], known[on]), 1), present[on])
                known[on] = self.known(spectra[on], masks, present[on]).to(image.dtype)
        return self._look(torch.cat((image, known), 1), present)

    def _look(self, image: Tensor, present: Tensor) -> Tensor:
        """Planes (B, C, K, G), bool (B, S) -> masks (B, S, K, G)."""
        scores = self.unet(image, present).float()
        absent = ~present[..., None, None]
        if self.arguments.masks == "relu":
            return F.relu(scores).masked_fill(absent, 0)
        return F.softmax(scores.masked_fill(absent, -torch.inf), dim=1)

    def known(self, spectra: Tensor, masks: Tensor, present: Tensor) -> Tensor:
        """What is known after a look: the masks, and the sources' shares by their directions alone.

        Both less an equal share for everybody; absent sources are zero.

        Args:
            spectra: (B, 2, F, K).
            masks: (B, S, K, G).
            present: bool (B, S).

        Returns:
            (B, 2 S, K, G).
        """
        players, plays = listed(present)
        index = players[..., None, None].expand(-1, -1, *masks.shape[2:])
        with torch.autocast(spectra.device.type, enabled=False):
            shares = self.spread(masks.gather(1, index)).mT  # (B, P, F, K)
            prior = (shares + DOUBT).log().masked_fill(~plays[..., None, None], -torch.inf)
            likelihood = direction_likelihoods(spectra, prior, ITERATIONS)
            power = spectra.abs().square().sum(1, keepdim=True)
            likelihood = likelihood.masked_fill(~plays[..., None, None], -torch.inf)
            energies = torch.cat((likelihood.softmax(1) * power, power), 1)
            banded = F.linear(energies.mT, self.to_bands.T)
            banded = banded[:, :-1] / (banded[:, -1:] + 1e-20)
        by_direction = torch.zeros_like(masks).scatter(1, index, banded)
        known = torch.cat((masks, by_direction), 1)
        known = known - 1 / present.sum(1)[:, None, None, None]
        return known.masked_fill(~present.repeat(1, 2)[..., None, None], 0)

    def levels(self, spectra: Tensor) -> Tensor:
        """Log magnitude of the mean of both channels: (B, 2, F, K) -> (B, K, G).

        Relative to the excerpt's mean, where the authors have the logarithm of the magnitude itself
        (and 2e-16), so that the level of a mixture makes no difference.
        """
        magnitude = F.linear(spectra.mean(1).abs().mT, self.to_bands.T)
        mean = magnitude.mean((1, 2), keepdim=True) + 1e-12
        return torch.log(magnitude / mean + 1e-7)


class UNet(nn.Module):
    """A U-Net over images of frames and bands: (B, C, K, G), bool (B, S) -> (B, S, K, G), any K."""

    def __init__(self, planes: int, outputs: int, arguments: MultichannelUNetArguments) -> None:
        super().__init__()
        self.reduction = arguments.reduction
        dims, convolutions = arguments.dims, arguments.convolutions
        self.down = nn.ModuleList(
            Level(inputs, width, convolutions) for inputs, width in pairwise((planes, *dims))
        )
        self.pool = nn.MaxPool2d(2)
        upwards = list(pairwise(reversed(dims)))
        conditioned = [*dims[:-1], *(high for _, high in upwards)] if arguments.conditioned else []
        self.presence = nn.ModuleList(
            nn.Linear(outputs, width, bias=False) for width in conditioned
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(low, high, 2, 2) for low, high in upwards)
        self.merge = nn.ModuleList(
            Level(2 * high, high, convolutions, arguments.dropout) for _, high in upwards
        )
        self.output = nn.Conv2d(dims[0], outputs, 1)

    def forward(self, image: Tensor, present: Tensor) -> Tensor:
        """(B, C, K, G), bool (B, S) -> (B, S, K, G)."""
        frames = image.shape[2]
        # Up to what pooling divides, the last frame goes on.
        rest = image[:, :, -1:].expand(-1, -1, -frames % self.reduction, -1)
        x = torch.cat((image, rest), 2).contiguous(memory_format=torch.channels_last)
        *encoder, bottom = self.down
        who = [one(present.to(x.dtype))[..., None, None] for one in self.presence]
        who = who or [x.new_zeros(())] * 2 * len(encoder)
        skips = []
        for level, here in zip(encoder, who, strict=False):
            skips.append(level(x))
            x = self.pool(skips[-1]) + here
        x = bottom(x)
        upwards = zip(self.up, self.merge, reversed(skips), who[len(encoder) :], strict=True)
        for up, merge, skip, here in upwards:
            x = merge(torch.cat((up(x) + here, skip), 1))
        return self.output(x)[:, :, :frames]


class Level(nn.Sequential):
    """Some 3x3 convolutions, each with batch normalisation and LeakyReLU."""

    def __init__(self, inputs: int, width: int, convolutions: int, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for _ in range(convolutions):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width)]
            layers += [nn.Dropout2d(dropout)] if dropout else []
            layers += [nn.LeakyReLU(SLOPE, inplace=True)]
            inputs = width
        super().__init__(*layers)


# fmt: off
RECORD = NetworkRecord(
    name="multichannel_unet",
    network=MultichannelUNet,
    arguments=MultichannelUNetArguments,
    summary="masks on a spectrogram of logarithmic frequency by a U-Net",
    sizes={
        "small": Size(
            {
                "sources": OUTPUTS, "samplerate": 22050, "n_fft": 4096, "hop": 1024, "bands": 512,
                "dims": (48, 96, 160, 224, 288, 352), "convolutions": 2, "dropout": 0.0,
                "features": "stereo", "masks": "softmax", "conditioned": True,
                "harmonics": (1 / 3, 1 / 2, 2, 3, 4, 5), "passes": 2,
            },
            "remix",
        ),
        "paper": Size({"sources": INSTRUMENTS}, "mask"),
    },
    voices="own",
    licence="mit",
)
# fmt: on
