"""Implements the Attentive MultiResUNet (Sgouros, Bousis and Mitianoudis 2022).

The paper is "An efficient Short-Time Discrete Cosine Transform and Attentive MultiResUNet framework
for Music Source Separation", IEEE Access 10. The network is a U-Net over bins and frames of the
short-time DCT. The levels of the U-Net are MultiRes blocks, and its skip connections are Res paths
(Ibtehaz and Rahman 2020, "MultiResUNet"). All skip connections except the first have an attention
gate. The coefficients of the short-time DCT are real, so the network can estimate the coefficients
of the sources without using the phase of the mixture. By default, the arguments have the published
values, but the output is stereo instead of mono.

In shapes, B is the batch size, S the number of sources, T the number of samples, L the number of
bins, K the number of frames, and C the number of channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.machine.image_layout import image_layout
from cmss.models.network import Network
from cmss.models.outputs import OUTPUTS
from cmss.models.presence import in_places, listed, mixture_consistent, of_players, presence
from cmss.models.record import NetworkRecord, Size
from cmss.transforms.stdct import istdct, stdct

PARTS = (0.167, 0.333, 0.5)
"""Fractions of a MultiRes block's channels that have receptive fields of 3x3, 5x5 and 7x7.

The fractions are 1/6, 1/3 and 1/2 (Ibtehaz and Rahman 2020). The authors' code rounds them in the
same way.
"""


@dataclass(frozen=True)
class ARUNetArguments:
    """Arguments of :class:`ARUNet`.

    Args:
        sources: names of the outputs in order.
        samplerate: sampling rate of the network in Hz.
        L: length of a frame in samples, which is also the number of bins.
        hop: number of samples between the starts of consecutive frames.
        filters: number of channels of the skip connection of each level, from the highest to the
            lowest resolution; the paper calls this number F.
        bottleneck: number of channels of the bottleneck before multiplication by `alpha`.
        alpha: ratio of the number of channels of a MultiRes block to `filters` or `bottleneck`.
        fold: number of neighbouring bins that are stacked as channels; 1 in the paper. A larger
            `fold` reduces the computation, because the images of all levels are smaller.
        compression: exponent of the magnitudes of the coefficients at the input and output of the
            network; the signs do not change; 1 in the paper. With an exponent of 0.5, partials that
            differ by 60 dB differ by 30 dB in the network's input. The input and the output have
            the same exponent. Therefore, if a bin has a single source, the correct output in this
            bin is equal to the input.
        conditioned: whether the network is conditioned on the presence of the sources.
        consistent: whether the difference between the mixture and the sum of the estimates is
            distributed among the sources that are present.
        masks: whether to estimate masks (softmax over the sources that are present) instead of
            coefficients. A small network needs far fewer training steps to learn masks than to
            learn coefficients.
    """

    sources: tuple[str, ...] = ("target",)
    samplerate: int = 16000
    L: int = 2048
    hop: int = 256
    filters: tuple[int, ...] = (32, 64, 128, 256)
    bottleneck: int = 512
    alpha: float = 1.72
    fold: int = 1
    compression: float = 1.0
    conditioned: bool = False
    consistent: bool = False
    masks: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        object.__setattr__(self, "filters", tuple(self.filters))
        if not 0 < self.compression <= 1:
            raise ValueError(
                f"compression: expected a number above 0 and at most 1, got {self.compression}"
            )
        if not 1 <= self.hop <= self.L // 2:
            raise ValueError(f"hop: expected 1 to {self.L // 2} (half of L), got {self.hop}")
        if self.L % self.fold:
            raise ValueError(f"L: expected a multiple of fold {self.fold}, got {self.L}")


class ARUNet(Network):
    """Estimates the sources by a U-Net whose inputs are the mixture's STDCT coefficients.

    The mixture's coefficients are scaled to an RMS of 1 before the U-Net, and the estimates are
    scaled back after the U-Net, so that the result does not depend on the level of the mixture.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T). Outputs of
        absent sources are zero. If `consistent` is true, the sum of the sources is the mixture.
    """

    model_name = "arunet"
    window: Tensor

    def __init__(self, arguments: ARUNetArguments) -> None:
        super().__init__(arguments)
        a = arguments
        self.register_buffer("window", torch.hamming_window(a.L), persistent=False)
        self.unet = AttentiveMultiResUNet(
            2 * a.fold,
            2 * a.fold * len(a.sources),
            a.filters,
            a.bottleneck,
            a.alpha,
            conditions=len(a.sources) if a.conditioned else 0,
        )

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """Separate mixtures (B, 2, T) into sources (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        players, chosen = listed(present)
        coefficients = stdct(mixture, self.window, self.arguments.hop)  # (B, 2, L, K)
        estimates = self.estimate(coefficients, present, players, chosen)  # (B, P, 2, L, K)
        # (B, P, 2, T)
        stems = istdct(estimates, self.window, self.arguments.hop, mixture.shape[-1])
        if self.arguments.consistent:
            # Consistent waveforms have consistent coefficients, because the transform is linear.
            stems = mixture_consistent(stems, mixture, chosen)
        return in_places(stems, players, len(self.sources))

    def estimate(self, mixture: Tensor, present: Tensor, players: Tensor, chosen: Tensor) -> Tensor:
        """Estimate the coefficients of the P sources that are present.

        Args:
            mixture: coefficients of the mixture, an array of shape (B, 2, L, K).
            present: whether each source is present, a bool array of shape (B, S).
            players, chosen: results of :func:`listed`.

        Returns:
            The coefficients of the sources, on the same scale as those of the mixture, an array of
            shape (B, P, 2, L, K). If the mixture of an example is silent, all coefficients of this
            example are zero. The coefficients are also zero for the entries of `players` that are
            only padding.
        """
        fold, exponent = self.arguments.fold, self.arguments.compression
        power = mixture.square().mean((1, 2, 3), keepdim=True)
        audible = power > 0
        level = torch.where(audible, power, 1.0).sqrt()  # RMS, (B, 1, 1, 1)
        # Neighbouring bins are stacked as channels: (B, 2, L, K) -> (B, 2, L / fold, fold, K) ->
        # (B, 2, fold, L / fold, K) -> (B, 2 fold, L / fold, K)
        image = signed_power(mixture / level, exponent).unflatten(2, (-1, fold))
        image = image.transpose(2, 3).flatten(1, 2)
        # (B, S 2 fold, L / fold, K) -> (B, S, 2 fold, L / fold, K)
        output = self.unet(image, present).unflatten(1, (len(self.sources), -1))
        # Only the outputs of sources that are present are processed further, to save memory.
        output = of_players(output, players).float()  # (B, P, 2 fold, L / fold, K)
        # Back to bins: (B, P, 2, fold, L / fold, K) -> (B, P, 2, L / fold, fold, K) ->
        # (B, P, 2, L, K)
        output = output.unflatten(2, (2, fold)).transpose(3, 4).flatten(3, 4)
        absent = ~chosen[..., None, None, None]
        if self.arguments.masks:
            # (B, P, 2, L, K) * (B, 1, 2, L, K)
            return output.masked_fill(absent, -torch.inf).softmax(1) * mixture.unsqueeze(1)
        estimates = signed_power(output, 1 / exponent).masked_fill(absent, 0)
        return estimates * (level * audible).unsqueeze(1)


def signed_power(x: Tensor, exponent: float) -> Tensor:
    """Raise the magnitudes of x to a power; the signs do not change."""
    # The constant 1e-6, 120 dB below the RMS of the mixture, makes powers differentiable at zero.
    return x * (x.abs() + 1e-6) ** (exponent - 1)


class AttentiveMultiResUNet(nn.Module):
    """Applies the published network to images of any size.

    Args:
        inputs: number of channels of the image.
        outputs: number of channels of the output, which has no activation function.
        filters, bottleneck, alpha: see :class:`ARUNetArguments`.
        conditions: number of sources in the input `present`; 0 for a network without this input. An
            embedding of the presence is added to the input of the bottleneck.

    Shape:
        The image has the shape (B, inputs, height, width). The bool tensor `present` has the shape
        (B, conditions). The output has the shape (B, outputs, height, width).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        filters: Sequence[int],
        bottleneck: int,
        alpha: float,
        conditions: int = 0,
    ) -> None:
        super().__init__()
        levels = len(filters)
        parts = [[int(alpha * width * share) for share in PARTS] for width in filters]
        wide = [sum(level) for level in parts]
        lowest = [int(alpha * bottleneck * share) for share in PARTS]
        self.down = nn.ModuleList(
            MultiResBlock(channels, level)
            for channels, level in zip((inputs, *wide), parts, strict=False)
        )
        # Res paths of higher levels are longer, because encoder and decoder features differ most
        # there (Ibtehaz and Rahman 2020).
        self.paths = nn.ModuleList(
            nn.Sequential(
                ResUnit(wide[level], width),
                *(ResUnit(width, width) for _ in range(levels - level - 1)),
            )
            for level, width in enumerate(filters)
        )
        self.presence = nn.Linear(conditions, wide[-1], bias=False) if conditions else None
        self.bottleneck = MultiResBlock(wide[-1], lowest)
        self.signal = ConvNorm(sum(lowest), filters[-1])
        # The lowest gate gets a version of the bottleneck's output with fewer channels.
        self.gates = nn.ModuleList(
            AttentionGate(width, signal)
            for width, signal in zip(filters[1:], (*wide[2:], filters[-1]), strict=True)
        )
        self.lift = nn.ModuleList(
            nn.ConvTranspose2d(below, width, 2, stride=2)
            for width, below in zip(filters, (*wide[1:], sum(lowest)), strict=True)
        )
        self.up = nn.ModuleList(
            MultiResBlock(2 * width, level) for width, level in zip(filters, parts, strict=True)
        )
        self.output = nn.Conv2d(wide[0], outputs, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor, present: Tensor | None = None) -> Tensor:
        """Apply the U-Net to images (B, inputs, height, width); the size does not change."""
        height, width = image.shape[2:]
        # Pad the image, so that every pooling halves its size exactly.
        multiple = 2 ** len(self.down)
        x = F.pad(image, (0, -width % multiple, 0, -height % multiple))
        x = x.contiguous(memory_format=image_layout(x.device))
        skips = []
        for block, path in zip(self.down, self.paths, strict=True):
            x = block(x)  # (B, channels of the level, height / 2^level, width / 2^level)
            skips.append(path(x))
            x = F.max_pool2d(x, 2)
        # x is (B, channels of the lowest encoder level, height / 2^levels, width / 2^levels).
        if self.presence is not None and present is not None:
            x = x + self.presence(present.to(x.dtype))[..., None, None]
        x = self.bottleneck(x)
        signal = F.relu(self.signal(x))  # the same size, with the last level's `filters`
        for level in reversed(range(len(skips))):
            # The gate of a level is controlled by the output of the level below.
            skip = self.gates[level - 1](skips[level], signal) if level else skips[level]
            # `skip` and the lifted x have `filters` channels each. The output has the channels of
            # the level's MultiRes block, and twice the height and width of x.
            x = signal = self.up[level](torch.cat((skip, self.lift[level](x)), 1))
        return self.output(x)[..., :height, :width]  # (B, outputs, height, width)


class Norm(nn.BatchNorm2d):
    """Applies batch normalisation with the constants of Keras, like the published network."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3, momentum=0.01)


class ConvNorm(nn.Sequential):
    """Applies a convolution, then batch normalisation with an offset but no scale.

    The convolution does not change the size of the image.
    """

    def __init__(self, channels: int, filters: int, size: int = 1, bias: bool = False) -> None:
        norm = Norm(filters)
        # The scale is a constant 1: without a scale, CUDA computes no gradient of the offset.
        del norm.weight
        norm.register_buffer("weight", torch.ones(filters), persistent=False)
        super().__init__(nn.Conv2d(channels, filters, size, padding=size // 2, bias=bias), norm)


class MultiResBlock(nn.Module):
    """Applies three successive 3x3 convolutions and concatenates their outputs.

    The block maps (B, C, height, width) to (B, sum of `parts`, height, width).
    """

    def __init__(self, channels: int, parts: Sequence[int]) -> None:
        super().__init__()
        self.shortcut = ConvNorm(channels, sum(parts))
        self.convolutions = nn.ModuleList(
            ConvNorm(before, after, 3) for before, after in pairwise((channels, *parts))
        )
        self.inner_norm, self.norm = Norm(sum(parts)), Norm(sum(parts))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to features of shape (B, C, height, width)."""
        shortcut, parts = self.shortcut(x), []
        # Two successive 3x3 convolutions have the receptive field of a 5x5 convolution. Three
        # successive 3x3 convolutions have the receptive field of a 7x7 convolution.
        for convolution in self.convolutions:
            x = F.relu(convolution(x))  # (B, part, height, width)
            parts.append(x)
        return self.norm(F.relu(shortcut + self.inner_norm(torch.cat(parts, 1))))


class ResUnit(nn.Module):
    """Computes the sum of a 3x3 and a 1x1 convolution of the same features."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.shortcut = ConvNorm(channels, filters)
        self.convolution = ConvNorm(channels, filters, 3)
        self.norm = Norm(filters)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both convolutions; return features (B, filters, height, width)."""
        return self.norm(F.relu(self.shortcut(x) + F.relu(self.convolution(x))))


class AttentionGate(nn.Module):
    """Multiplies a skip connection by weights that depend on a signal from the level below.

    The features of the skip connection and the output have the shape (B, C, height, width). The
    signal has the shape (B, signal, height / 2, width / 2).
    """

    def __init__(self, channels: int, signal: int) -> None:
        super().__init__()
        self.from_signal = ConvNorm(signal, channels, bias=True)
        self.lift = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.from_skip = ConvNorm(channels, channels)
        self.score = ConvNorm(channels, channels, bias=True)
        self.mix = nn.Sequential(
            ConvNorm(channels, channels, bias=True), ConvNorm(channels, channels, bias=True)
        )

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Multiply a skip connection by a gate computed from it and from the level below."""
        # (B, signal, height / 2, width / 2) -> (B, C, height, width)
        both = F.relu(self.lift(self.from_signal(signal)) + self.from_skip(skip))
        # Like the paper, this gate has a softmax over channels instead of a sigmoid. Under
        # autocast, the softmax is computed in float32.
        weights = self.score(both).softmax(1).to(skip.dtype)
        return F.relu(self.mix(skip * weights))


# fmt: off
RECORD = NetworkRecord(
    name="arunet",
    network=ARUNet,
    arguments=ARUNetArguments,
    summary="Attentive MultiResUNet: masks or a mapping of the short-time DCT",
    sizes={
        "small": Size(
            {
                "sources": OUTPUTS, "hop": 512, "fold": 8, "filters": (16, 32, 48, 96),
                "bottleneck": 160, "compression": 0.5, "conditioned": True, "masks": True,
            },
            "estimates_remix",
        ),
        "paper": Size({}, "waveform", {"power": 2}),
    },
    licence="mit",
    data=("SCORES", "NOTES", "PHILHARMONIA", "VIRTUAL_PLAYING", "SYNTHETIC_NOTES"),
)
# fmt: on
