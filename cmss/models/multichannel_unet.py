"""Implements the multichannel U-Net (Kadandale, Montesinos, Haro and Gomez 2020).

The paper is "Multi-channel U-Net for Music Source Separation", IEEE MMSP. A U-Net with an output
channel for each source estimates masks from a spectrogram on a logarithmic frequency axis. By
default, the arguments have the published values. The code is based on the authors' code,
vskadandale/multichannel-unet-bss (MIT licence; see NOTICE).

In shapes, B is the batch size, T the number of samples, F the number of frequency bins, G the
number of bands, K the number of frames, S the number of sources, and C the number of channels.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.machine.image_layout import image_layout
from cmss.models.band_masks import BandMasks
from cmss.models.outputs import OUTPUTS
from cmss.models.presence import listed, presence
from cmss.models.record import NetworkRecord, Size
from cmss.models.temporal_blocks import Norm
from cmss.scenes import INSTRUMENTS
from cmss.transforms.angular_gaussian import direction_likelihoods
from cmss.transforms.bands import stretch, unwarp, warp
from cmss.transforms.tiles import channels_power


@dataclass(frozen=True)
class MultichannelUNetArguments:
    """Arguments of :class:`MultichannelUNet`.

    Args:
        sources: names of the outputs in order.
        samplerate: sampling rate of the network in Hz.
        n_fft: length of a frame in samples.
        hop: number of samples between the starts of consecutive frames.
        bands: number of points of the logarithmic frequency axis, a multiple of 2 ** (len(dims) -
            1).
        dims: number of channels of each level.
        convolutions: number of convolutions in each level of the encoder and the decoder.
        dropout: probability of channel dropout after the convolutions of the decoder.
        features: input features: `mono` (log magnitude of the mean of both channels) or `stereo`
            (level of each channel and direction of arrival).
        masks: type of masks: `relu` (independent masks) or `softmax` (masks that sum to 1 over the
            sources that are present).
        conditioned: whether every level is conditioned on the presence of the sources.
        harmonics: factors by which the frequency of a band is multiplied. The features at the
            multiplied frequencies are additional input channels for the band, so that a filter
            covers the partials of a note (Bittner et al. 2017, "Deep salience representations for
            F0 estimation in polyphonic music", ISMIR, section 3.1).
        passes: number of passes of the U-Net. From the second pass on, additional input channels
            contain the masks of the previous pass and masks that are computed from the directions
            of arrival of the sources.
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
            raise ValueError(f"features: expected mono or stereo, got {self.features!r}")
        if self.masks not in ("relu", "softmax"):
            raise ValueError(f"masks: expected relu or softmax, got {self.masks!r}")
        if len(self.dims) < 2 or self.convolutions < 1:
            raise ValueError(
                f"expected at least 2 values in dims, got {len(self.dims)}, and convolutions of at "
                f"least 1, got {self.convolutions}"
            )
        if self.bands % self.reduction:
            raise ValueError(f"bands: expected a multiple of {self.reduction}, got {self.bands}")

    @property
    def reduction(self) -> int:
        """Ratio of the resolution of the first level to the resolution of the lowest level."""
        return 2 ** (len(self.dims) - 1)


class MultichannelUNet(BandMasks):
    """Multiplies the mixture's spectra by masks that a U-Net over frames and bands estimates.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T). Outputs of
        absent sources are zero. With softmax masks, the sum of the sources is the mixture.
    """

    model_name = "multichannel_unet"

    to_harmonics: Tensor | None

    def __init__(self, arguments: MultichannelUNetArguments) -> None:
        a = arguments
        bins = a.n_fft // 2 + 1
        to_bands, to_bins = warp(bins, a.bands), unwarp(bins, a.bands)
        if a.features == "stereo":
            # In a band that is wider than a bin, energies are averaged over all bins of the band;
            # `warp` alone would interpolate between only two bins.
            to_bands = torch.maximum(to_bands, to_bins)
            to_bands = to_bands / to_bands.sum(0)
        super().__init__(a, a.n_fft, a.hop, to_bands, to_bins)
        self.planes = 4 if a.features == "stereo" else 1
        self.norm = Norm(4 * a.bands, "gLN") if a.features == "stereo" else None
        stretched = [stretch(a.bands, factor) for factor in a.harmonics]
        self.register_buffer(
            "to_harmonics", torch.stack(stretched) if stretched else None, persistent=False
        )
        known = 2 * len(a.sources) if a.passes > 1 else 0
        self.unet = UNet(self.planes * (1 + len(stretched)) + known, len(a.sources), a)

    def masks(self, spectra: Tensor, present: Tensor) -> Tensor:
        """Estimate masks (B, S, K, G) from spectra (B, 2, F, K) in one or several passes.

        Raises:
            ValueError: an example of the batch has no source that is present.
        """
        present = presence(present, spectra, len(self.sources))
        # Powers span ten decades, which is more than half precision can represent.
        with torch.autocast(spectra.device.type, enabled=False):
            if self.norm is None:
                features = self.levels(spectra)  # (B, K, G)
            else:
                features = self.norm(self.features(spectra))  # (B, K, 4 G)
        image = features.unflatten(-1, (self.planes, -1)).transpose(1, 2)  # (B, planes, K, G)
        if self.to_harmonics is not None:
            # (B, planes (1 + harmonics), K, G)
            image = torch.cat((image, *(F.linear(image, read) for read in self.to_harmonics)), 1)
        passes = self.arguments.passes
        if passes == 1:
            return self._single_pass(image, present)
        # Masks of the previous pass and masks computed from the directions, (B, 2 S, K, G). They
        # are zero in the first pass.
        known = image.new_zeros(len(image), 2 * len(self.sources), *image.shape[2:])
        # Gradients flow only through the last pass.
        with torch.no_grad():
            for number in range(1, passes):
                # In training, the last call of the U-Net gets the inputs of every pass for equally
                # many examples: examples before this slice keep the inputs of an earlier pass.
                on = slice(len(image) * number // passes if self.training else 0, None)
                masks = self._single_pass(torch.cat((image[on], known[on]), 1), present[on])
                known[on] = self.known(spectra[on], masks, present[on]).to(image.dtype)
        return self._single_pass(torch.cat((image, known), 1), present)

    def _single_pass(self, image: Tensor, present: Tensor) -> Tensor:
        """Apply the U-Net to inputs (B, C, K, G); return masks (B, S, K, G)."""
        scores = self.unet(image, present).float()  # (B, S, K, G)
        absent = ~present[..., None, None]
        if self.arguments.masks == "relu":
            return F.relu(scores).masked_fill(absent, 0)
        return F.softmax(scores.masked_fill(absent, -torch.inf), dim=1)

    def known(self, spectra: Tensor, masks: Tensor, present: Tensor) -> Tensor:
        """Compute the additional inputs of the next pass.

        The additional inputs are the masks of the current pass and masks that are computed only
        from the directions of arrival of the sources. The reciprocal of the number of sources that
        are present is subtracted from both types of masks. The inputs of absent sources are zero.

        Args:
            spectra: spectra of the mixture, a complex array of shape (B, 2, F, K).
            masks: masks of the current pass, an array of shape (B, S, K, G).
            present: whether each source is present, a bool array of shape (B, S).

        Returns:
            The additional inputs of the next pass, an array of shape (B, 2 S, K, G).
        """
        players, plays = listed(present)
        index = players[..., None, None].expand(-1, -1, *masks.shape[2:])  # (B, P, K, G)
        with torch.autocast(spectra.device.type, enabled=False):
            in_bins = self.spread(masks.gather(1, index)).mT  # (B, P, F, K)
            # 1e-4 is added to the masks, so that every player is possible in every bin.
            prior = (in_bins + 1e-4).log().masked_fill(~plays[..., None, None], -torch.inf)
            # The directions are fitted by two iterations of expectation-maximisation.
            likelihood = direction_likelihoods(spectra, prior, 2)  # (B, P, F, K)
            power = channels_power(spectra).unsqueeze(1)  # (B, 1, F, K)
            likelihood = likelihood.masked_fill(~plays[..., None, None], -torch.inf)
            # The mask of a band is the mean over its bins, weighted by power.
            energies = torch.cat((likelihood.softmax(1) * power, power), 1)  # (B, P + 1, F, K)
            banded = F.linear(energies.mT, self.to_bands.T)  # (B, P + 1, K, G)
            banded = banded[:, :-1] / (banded[:, -1:] + 1e-20)  # (B, P, K, G)
        by_direction = torch.zeros_like(masks).scatter(1, index, banded)  # (B, S, K, G)
        known = torch.cat((masks, by_direction), 1)  # (B, 2 S, K, G)
        known = known - 1 / present.sum(1)[:, None, None, None]
        return known.masked_fill(~present.repeat(1, 2)[..., None, None], 0)

    def levels(self, spectra: Tensor) -> Tensor:
        """Compute the log magnitude (B, K, G) of the mean of both channels of spectra (B, 2, F, K).

        The magnitude is divided by its mean over the excerpt, so that the result does not depend on
        the level of the recording. The authors of the paper do not divide, but add 2e-16 to the
        magnitude before the logarithm.
        """
        # (B, F, K) -> (B, K, F) -> (B, K, G)
        magnitude = F.linear(spectra.mean(1).abs().mT, self.to_bands.T)
        mean = magnitude.mean((1, 2), keepdim=True) + 1e-12
        return torch.log(magnitude / mean + 1e-7)


class UNet(nn.Module):
    """Applies a U-Net over bands and any number of frames."""

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
        """Apply the U-Net to inputs (B, C, K, G); return outputs (B, S, K, G)."""
        frames = image.shape[2]
        # Repeat the last frame, so that every pooling halves the number of frames exactly.
        rest = image[:, :, -1:].expand(-1, -1, -frames % self.reduction, -1)
        x = torch.cat((image, rest), 2).contiguous(memory_format=image_layout(image.device))
        *encoder, bottom = self.down
        # These are embeddings of presence for each level of encoder and decoder, (B, C, 1, 1) each.
        embeddings = [layer(present.to(x.dtype))[..., None, None] for layer in self.presence]
        embeddings = embeddings or [x.new_zeros(())] * 2 * len(encoder)
        skips = []  # (B, dims[i], K / 2^i, G / 2^i), i from 0
        for level, embedding in zip(encoder, embeddings, strict=False):
            skips.append(level(x))
            x = self.pool(skips[-1]) + embedding
        x = bottom(x)  # (B, channels of the last level, K / reduction, G / reduction)
        upwards = zip(self.up, self.merge, reversed(skips), embeddings[len(encoder) :], strict=True)
        for up, merge, skip, embedding in upwards:
            # `up` doubles K and G, and reduces the number of channels to that of the skip
            # connection.
            x = merge(torch.cat((up(x) + embedding, skip), 1))
        return self.output(x)[:, :, :frames]  # (B, S, K, G)


class Level(nn.Sequential):
    """Applies successive 3x3 convolutions, each with batch normalisation and LeakyReLU."""

    def __init__(self, inputs: int, width: int, convolutions: int, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for _ in range(convolutions):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width)]
            layers += [nn.Dropout2d(dropout)] if dropout else []
            layers += [nn.LeakyReLU(0.1, inplace=True)]  # the slope of the authors' code
            inputs = width
        super().__init__(*layers)


# fmt: off
RECORD = NetworkRecord(
    name="multichannel_unet",
    network=MultichannelUNet,
    arguments=MultichannelUNetArguments,
    summary="Multichannel U-Net: masks on a spectrogram of logarithmic frequency",
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
    data=("SCORES", "NOTES", "PHILHARMONIA", "GENERAL_USER", "SYNTHETIC_NOTES"),
)
# fmt: on
