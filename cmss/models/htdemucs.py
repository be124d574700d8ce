"""Implements Hybrid Transformer Demucs, the fourth generation of Demucs.

The paper is Rouard, Massa and Defossez 2023, "Hybrid Transformers for Music Source Separation". The
spectral branch and the waveform branch of the network do not merge. At the lowest level, a
transformer has attention within each branch and across both branches. By default, the arguments
have the values of the authors' published network. The code is based on the authors' code,
facebookresearch/demucs (MIT licence; see NOTICE).

In shapes, B is the batch size, C the number of channels, F the number of frequency bins, K the
number of frames, T the number of time steps, and N and M are numbers of transformer tokens.
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
        bottom_channels: number of channels of the transformer; 0 for the number of channels of the
            lowest level.
        t_layers: number of transformer layers of each branch. Layers that attend to the same branch
            alternate with layers that attend to the other branch.
        t_heads: number of attention heads.
        t_hidden_scale: ratio of the number of hidden channels of a feed-forward layer to the number
            of its input channels.
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
            raise ValueError(
                f"depth: {self.depth} levels, expected fewer, because the branches must not merge"
            )
        if self.width % self.t_heads or self.width % 4:
            raise ValueError(
                f"channels of the transformer: expected a multiple of 4 and of t_heads "
                f"{self.t_heads}, got {self.width}"
            )

    @property
    def width(self) -> int:
        """Number of channels of the transformer."""
        return self.bottom_channels or self.lowest(self.channels)


class HTDemucs(Hybrid):
    """Implements Hybrid Demucs with separate branches and a transformer across both branches."""

    model_name = "htdemucs"

    def __init__(self, arguments: HTDemucsArguments) -> None:
        a = arguments
        super().__init__(a)
        lowest, lowest_time = a.lowest(a.channels), a.lowest(a.channels_time or a.channels)
        if a.bottom_channels:
            self.channel_upsampler = nn.Conv1d(lowest, a.bottom_channels, 1)
            self.channel_downsampler = nn.Conv1d(a.bottom_channels, lowest, 1)
            self.channel_upsampler_t = nn.Conv1d(lowest_time, a.bottom_channels, 1)
            self.channel_downsampler_t = nn.Conv1d(a.bottom_channels, lowest_time, 1)
        self.crosstransformer = CrossTransformer(
            a.width, a.t_layers, a.t_heads, a.t_hidden_scale, a.t_max_period
        )

    def bottom(self, x: Tensor, x_time: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the transformer to x (B, C, F, K) and x_time (B, C, T)."""
        if not self.arguments.bottom_channels:
            return self.crosstransformer(x, x_time)
        bins = x.shape[2]
        # 1x1 convolutions convert the number of channels of a branch to that of the transformer,
        # and back after the transformer.
        # (B, C, F, K) -> (B, C, F K) -> (B, bottom_channels, F K) -> (B, bottom_channels, F, K)
        x = self.channel_upsampler(x.flatten(2)).unflatten(2, (bins, -1))
        x, x_time = self.crosstransformer(x, self.channel_upsampler_t(x_time))
        x = self.channel_downsampler(x.flatten(2)).unflatten(2, (bins, -1))  # (B, C, F, K)
        return x, self.channel_downsampler_t(x_time)


class CrossTransformer(nn.Module):
    """Applies the transformer layers of both branches.

    In each branch, the layers with an odd index attend to the other branch.

    Args:
        channels: number of channels C.
        layers: number of layers of each branch.
        heads: number of attention heads.
        hidden: ratio of the number of hidden channels of a feed-forward layer to the number of its
            input channels.
        period: longest period of the positional embedding, divided by 2 pi.

    Shape:
        The inputs are x with the shape (B, C, F, K) and x_time with the shape (B, C, T). The
        outputs have the same shapes as the inputs.
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
                Layer(channels, heads, inner, cross=layer % 2 == 1) for layer in range(layers)
            )

        self.layers, self.layers_t = branch(), branch()

    def forward(self, x: Tensor, x_time: Tensor) -> tuple[Tensor, Tensor]:
        """Apply all layers; the shapes do not change."""
        channels, bins, frames = x.shape[1:]
        # The tokens of the spectral branch are the bins of all frames, (B, K F, C). The tokens of
        # the waveform branch are the time steps, (B, T, C).
        embedding = self._position_2d(channels, bins, frames).to(x)
        x = self.norm_in(x.permute(0, 3, 2, 1).flatten(1, 2)) + embedding
        embedding = self._position(channels, x_time.shape[-1]).to(x_time)
        x_time = self.norm_in_t(x_time.mT) + embedding
        # The inputs of both layers of a pair are the outputs of the previous pair.
        for layer, layer_time in zip(self.layers, self.layers_t, strict=True):
            x, x_time = layer(x, x_time), layer_time(x_time, x)
        # (B, K F, C) -> (B, K, F, C) -> (B, C, F, K), and (B, T, C) -> (B, C, T)
        return x.unflatten(1, (frames, bins)).permute(0, 3, 2, 1), x_time.mT

    # The embeddings are sinusoidal (Vaswani et al. 2017, "Attention is all you need", section 3.5).
    # The order of the channels and the spacing of the rates are those of the authors' code.

    def _position(self, channels: int, steps: int) -> Tensor:
        """Return an embedding (T, C) of time steps: cosines and sines at C / 2 rates."""
        half = channels // 2
        rates = self.period ** (-torch.arange(half) / (half - 1))
        phase = torch.arange(steps)[:, None] * rates  # (T, C / 2)
        return torch.cat((phase.cos(), phase.sin()), 1)

    def _position_2d(self, channels: int, bins: int, frames: int) -> Tensor:
        """Return an embedding (K F, C) of frames and bins.

        The bins of a frame are consecutive.

        Half of the channels represent the frame, and the other half represent the bin. Within each
        half, the channels alternate between sines and cosines, at C / 4 different rates.
        """
        half = channels // 2
        rates = torch.exp(torch.arange(0.0, half, 2) * -(math.log(self.period) / half))

        def waves(count: int) -> Tensor:
            phase = torch.arange(count)[:, None] * rates  # (count, C / 4)
            return torch.stack((phase.sin(), phase.cos()), -1).flatten(1)  # (count, C / 2)

        frame = waves(frames)[:, None].expand(-1, bins, -1)  # (K, F, C / 2)
        bin_ = waves(bins).expand(frames, -1, -1)  # (K, F, C / 2)
        return torch.cat((frame, bin_), -1).flatten(0, 1)


class Layer(nn.Module):
    """Applies a transformer layer: attention, a feed-forward layer and group normalisation.

    The output of the attention is multiplied by learned scales and added to the input of the
    attention. The output of the feed-forward layer is scaled and added in the same way.

    Args:
        channels: number of channels C.
        heads: number of attention heads.
        inner: number of hidden channels of the feed-forward layer.
        cross: whether to attend to the other branch instead of the same branch.
    """

    def __init__(self, channels: int, heads: int, inner: int, cross: bool) -> None:
        super().__init__()
        self.cross = cross
        self.linear1, self.linear2 = nn.Linear(channels, inner), nn.Linear(inner, channels)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.norm_out = nn.GroupNorm(1, channels)
        self.gamma_1 = LayerScale(channels, 1e-4, last=True)
        self.gamma_2 = LayerScale(channels, 1e-4, last=True)
        # These are the authors' names: with cross-attention, `norm2` normalises the tokens of the
        # other branch.
        if cross:
            self.norm3 = nn.LayerNorm(channels)
            self.cross_attn = nn.MultiheadAttention(channels, heads, batch_first=True)
        else:
            self.self_attn = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Apply the layer to tokens (B, N, C); the other branch has tokens `other` (B, M, C)."""
        query = self.norm1(x)
        if self.cross:
            key = self.norm2(other)  # (B, M, C)
            attended, _ = self.cross_attn(query, key, key, need_weights=False)  # (B, N, C)
            norm = self.norm3
        else:
            attended, _ = self.self_attn(query, query, query, need_weights=False)  # (B, N, C)
            norm = self.norm2
        x = x + self.gamma_1(attended)
        # (B, N, C) -> (B, N, inner) -> (B, N, C)
        x = x + self.gamma_2(self.linear2(F.gelu(self.linear1(norm(x)))))
        return self.norm_out(x.mT).mT  # normalised over tokens and channels together


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
    data=("SCORES", "NOTES", "SYNTHETIC_NOTES"),
)
# fmt: on
