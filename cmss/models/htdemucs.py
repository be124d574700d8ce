"""Hybrid Transformer Demucs, the fourth generation; see :mod:`cmss.models.hybrid`.

Rouard, Massa and Defossez 2023, "Hybrid Transformers for Music Source Separation": the branches are
not merged; at the lowest level, a transformer attends within each branch and across both. The
defaults are those of the network that the authors released. Based on their code,
facebookresearch/demucs (MIT; see NOTICE).

Shapes: B batch, C channels, N tokens.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.demucs_layers import LayerScale
from cmss.models.hybrid import Hybrid, HybridArguments
from cmss.models.outputs import OUTPUTS
from cmss.models.record import NetworkRecord, Size
from cmss.scenes import INSTRUMENTS


@dataclass(frozen=True)
class HTDemucsArguments(HybridArguments):
    """Arguments of :class:`HTDemucs`, in addition to those of :class:`HybridArguments`.

    Args:
        bottom_channels: channels of the transformer; 0 for those of the lowest level.
        t_layers: transformer layers of each branch, which alternate between attention within the
            branch and attention to the other branch.
        t_heads: attention heads.
        t_hidden_scale: ratio of the hidden channels of a feed-forward layer to its channels.
        t_max_period: longest period of the positional embedding, divided by 2 pi.
    """

    depth: int = 4
    dconv_mode: int = 3
    dconv_comp: float = 8
    bottom_channels: int = 512
    t_layers: int = 5
    t_heads: int = 8
    t_hidden_scale: float = 4.0
    t_max_period: float = 10000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nfft // 2 // self.stride ** (self.depth - 1) <= self.kernel_size:
            raise ValueError(f"depth {self.depth}: the branches would merge, expected fewer levels")
        if self.width % self.t_heads or self.width % 4:
            raise ValueError(
                f"channels of the transformer: expected a multiple of 4 and of t_heads "
                f"{self.t_heads}, got {self.width}"
            )

    @property
    def width(self) -> int:
        """Channels of the transformer."""
        return self.bottom_channels or _lowest(self.channels, self)


class HTDemucs(Hybrid):
    """Hybrid Demucs with separate branches and a transformer across them."""

    model_name = "htdemucs"

    def __init__(self, arguments: HTDemucsArguments) -> None:
        a = arguments
        super().__init__(a)
        lowest, lowest_time = _lowest(a.channels, a), _lowest(a.channels_time or a.channels, a)
        if a.bottom_channels:
            self.channel_upsampler = nn.Conv1d(lowest, a.bottom_channels, 1)
            self.channel_downsampler = nn.Conv1d(a.bottom_channels, lowest, 1)
            self.channel_upsampler_t = nn.Conv1d(lowest_time, a.bottom_channels, 1)
            self.channel_downsampler_t = nn.Conv1d(a.bottom_channels, lowest_time, 1)
        self.crosstransformer = CrossTransformer(
            a.width, a.t_layers, a.t_heads, a.t_hidden_scale, a.t_max_period
        )

    def bottom(self, x: Tensor, x_time: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the transformer: (B, C, F, K) and (B, C, T) -> the same shapes."""
        if not self.arguments.bottom_channels:
            return self.crosstransformer(x, x_time)
        bins = x.shape[2]
        # 1x1 convolutions convert between the channels of the branches and of the transformer.
        x = self.channel_upsampler(x.flatten(2)).unflatten(2, (bins, -1))
        x, x_time = self.crosstransformer(x, self.channel_upsampler_t(x_time))
        x = self.channel_downsampler(x.flatten(2)).unflatten(2, (bins, -1))
        return x, self.channel_downsampler_t(x_time)


def _lowest(channels: int, arguments: HybridArguments) -> int:
    """Return the channels of a branch's lowest level."""
    for _ in range(arguments.depth - 1):
        channels = int(arguments.growth * channels)
    return channels


class CrossTransformer(nn.Module):
    """Parallel transformer layers of both branches; layers 1, 3, ... attend to the other branch.

    Args:
        channels: C.
        layers: of each branch.
        heads: of the attention.
        hidden: ratio of the hidden channels of a feed-forward layer to its channels.
        period: longest period of the positional embedding, divided by 2 pi.

    Shape:
        - inputs x (B, C, F, K) and x_time (B, C, T)
        - outputs of the same shapes
    """

    def __init__(
        self, channels: int, layers: int, heads: int, hidden: float, period: float
    ) -> None:
        super().__init__()
        self.period = period
        self.norm_in, self.norm_in_t = nn.LayerNorm(channels), nn.LayerNorm(channels)
        inner = int(hidden * channels)

        def branch() -> nn.ModuleList:
            return nn.ModuleList(
                (CrossLayer if layer % 2 else SelfLayer)(channels, heads, inner)
                for layer in range(layers)
            )

        self.layers, self.layers_t = branch(), branch()

    def forward(self, x: Tensor, x_time: Tensor) -> tuple[Tensor, Tensor]:
        """Apply all layers; shapes as above."""
        channels, bins, frames = x.shape[1:]
        # Tokens are bins of frames, (B, K F, C), and samples, (B, T, C).
        embedding = position_2d(channels, bins, frames, self.period).to(x)
        x = self.norm_in(x.permute(0, 3, 2, 1).flatten(1, 2)) + embedding
        embedding = position(channels, x_time.shape[-1], self.period).to(x_time)
        x_time = self.norm_in_t(x_time.mT) + embedding
        # Both layers of a pair see the outputs of the previous pair.
        for layer, layer_time in zip(self.layers, self.layers_t, strict=True):
            x, x_time = layer(x, x_time), layer_time(x_time, x)
        return x.unflatten(1, (frames, bins)).permute(0, 3, 2, 1), x_time.mT


class Layer(nn.Module):
    """Attention and a feed-forward layer, each a scaled residual, followed by a norm."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(channels, inner), nn.Linear(inner, channels)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.norm_out = nn.GroupNorm(1, channels)
        self.gamma_1 = LayerScale(channels, 1e-4, last=True)
        self.gamma_2 = LayerScale(channels, 1e-4, last=True)

    def _feed(self, x: Tensor, norm: nn.Module) -> Tensor:
        x = x + self.gamma_2(self.linear2(F.gelu(self.linear1(norm(x)))))
        return self.norm_out(x.mT).mT


class SelfLayer(Layer):
    """Attends to its own branch: (B, N, C) -> (B, N, C)."""

    def __init__(self, channels: int, heads: int, inner: int) -> None:
        super().__init__(channels, inner)
        self.self_attn = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:  # noqa: ARG002
        """Attend within the branch: (B, N, C) -> (B, N, C); `other` has no effect."""
        y = self.norm1(x)
        return self._feed(
            x + self.gamma_1(self.self_attn(y, y, y, need_weights=False)[0]), self.norm2
        )


class CrossLayer(Layer):
    """Attends to the other branch: (B, N, C), (B, M, C) -> (B, N, C)."""

    def __init__(self, channels: int, heads: int, inner: int) -> None:
        super().__init__(channels, inner)
        self.norm3 = nn.LayerNorm(channels)
        self.cross_attn = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Attend to the other branch: (B, N, C), (B, M, C) -> (B, N, C)."""
        y = self.norm2(other)
        attended = self.cross_attn(self.norm1(x), y, y, need_weights=False)[0]
        return self._feed(x + self.gamma_1(attended), self.norm3)


def position(channels: int, steps: int, period: float) -> Tensor:
    """Return a sinusoidal embedding of steps, (T, C): cosines, then sines, at C / 2 rates."""
    rates = period ** (-torch.arange(channels // 2) / (channels // 2 - 1))
    phase = torch.arange(steps)[:, None] * rates
    return torch.cat((phase.cos(), phase.sin()), 1)


def position_2d(channels: int, bins: int, frames: int, period: float) -> Tensor:
    """Return a sinusoidal embedding of frames and bins, (K F, C), with F the faster index.

    Half of the channels embed the frame, the other half the bin. Sines and cosines alternate, at
    C / 4 rates.
    """
    half = channels // 2
    rates = torch.exp(torch.arange(0.0, half, 2) * -(math.log(period) / half))

    def waves(count: int) -> Tensor:
        phase = torch.arange(count)[:, None] * rates
        return torch.stack((phase.sin(), phase.cos()), -1).flatten(1)

    frame = waves(frames)[:, None].expand(-1, bins, -1)
    bin_ = waves(bins).expand(frames, -1, -1)
    return torch.cat((frame, bin_), -1).flatten(0, 1)


# fmt: off
RECORD = NetworkRecord(
    name="htdemucs",
    network=HTDemucs,
    arguments=HTDemucsArguments,
    summary="Hybrid Transformer Demucs: both U-Nets, and a transformer across them",
    sizes={
        "small": Size(
            {
                "sources": OUTPUTS, "samplerate": 16000, "channels": 32, "channels_time": 16,
                "growth": 1.5, "nfft": 3072, "dconv_starts": 2, "dconv_comp": 4,
                "bottom_channels": 64, "t_layers": 3, "t_heads": 4, "t_hidden_scale": 3.0,
                "masks": True, "conditioned": True, "consistent": True,
            },
            "waveform", {"power": 1, "spectral": 1.0},
        ),
        "paper": Size({"sources": INSTRUMENTS}, "waveform", {"power": 1}),
    },
    licence="mit",
)
# fmt: on
