"""Levels of Hybrid Demucs: encoders, decoders and the embedding of frequency bins.

Based on the authors' code, facebookresearch/demucs (MIT; see NOTICE), with its names of parameters.

Shapes: B batch, T samples, C channels, F frequency bins, K frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.demucs_layers import DConv


@dataclass(frozen=True)
class Shape:
    """Parameters shared by the encoder and the decoder of a level.

    Args:
        inputs: channels of the level above.
        width: channels of the level.
        kernel, stride: of the convolution between both.
        frequency: whether the convolution runs over frequency instead of time.
        pad: samples or bins of padding at either end.
        groups: of the group normalisation; 0 for no normalisation.
        dconv: arguments of :class:`DConv`.
        last: whether this is the last level of the waveform branch before the branches merge; it
            has only the convolution.
    """

    inputs: int
    width: int
    kernel: int
    stride: int
    frequency: bool
    pad: int
    groups: int
    dconv: Mapping[str, Any]
    last: bool = False

    def norm(self, channels: int) -> nn.Module:
        """Build the normalisation of a number of channels."""
        return nn.GroupNorm(self.groups, channels) if self.groups else nn.Identity()

    def over(self, size: int, other: int) -> Any:
        """Return a size for the axis of the convolution, and for the other axis if it exists."""
        return (size, other) if self.frequency else size


class Encoder(nn.Module):
    """Encoder of a level: (B, C, F, K) or (B, C, T) -> the same axes with fewer bins or samples."""

    def __init__(self, shape: Shape, dconv: bool) -> None:
        super().__init__()
        self.shape = shape
        convolution = nn.Conv2d if shape.frequency else nn.Conv1d
        self.conv = convolution(
            shape.inputs,
            shape.width,
            shape.over(shape.kernel, 1),
            shape.over(shape.stride, 1),
            shape.over(shape.pad, 0),
        )
        if shape.last:
            return
        self.norm1 = shape.norm(shape.width)
        self.rewrite = convolution(shape.width, 2 * shape.width, 1)
        self.norm2 = shape.norm(2 * shape.width)
        self.dconv = DConv(shape.width, **shape.dconv) if dconv else None

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        """Apply the encoder; `inject` (B, C, K) is the waveform branch where both merge."""
        if not self.shape.frequency:
            if x.dim() == 4:  # the first level after the merge gets a single bin
                x = x.flatten(1, 2)
            x = F.pad(x, (0, -x.shape[-1] % self.shape.stride))
        x = self.conv(x)
        if self.shape.last:
            return x
        if inject is not None:
            x = x + (inject.unsqueeze(2) if x.dim() == 4 else inject)
        x = F.gelu(self.norm1(x))
        if self.dconv is not None:
            x = over_time(self.dconv, x)
        return F.glu(self.norm2(self.rewrite(x)), dim=1)


class Decoder(nn.Module):
    """Decoder of a level: adds the skip connection and restores the size of the encoder's input.

    Args:
        shape: of the encoder.
        outputs: output channels.
        dconv: whether there are residual branches.
        context: see :class:`cmss.models.hybrid.HybridArguments`.
        final: whether this is the last decoder, which has no activation.
    """

    def __init__(self, shape: Shape, outputs: int, dconv: bool, context: int, final: bool) -> None:
        super().__init__()
        self.shape, self.final = shape, final
        transposed = nn.ConvTranspose2d if shape.frequency else nn.ConvTranspose1d
        self.conv_tr = transposed(
            shape.width, outputs, shape.over(shape.kernel, 1), shape.over(shape.stride, 1)
        )
        self.norm2 = shape.norm(outputs)
        if shape.last:
            return
        convolution = nn.Conv2d if shape.frequency else nn.Conv1d
        self.rewrite = convolution(shape.width, 2 * shape.width, 1 + 2 * context, padding=context)
        self.norm1 = shape.norm(2 * shape.width)
        self.dconv = DConv(shape.width, **shape.dconv) if dconv else None

    def forward(self, x: Tensor, skip: Tensor | None, length: int) -> tuple[Tensor, Tensor]:
        """Return the output, of `length` samples if over time, and the last convolution's input."""
        if self.shape.frequency and x.dim() == 3:
            x = x.unflatten(1, (self.shape.width, -1))
        if skip is not None:
            x = F.glu(self.norm1(self.rewrite(x + skip)), dim=1)
            if self.dconv is not None:
                x = over_time(self.dconv, x)
        y = self.norm2(self.conv_tr(x))
        # The transposed convolution has no padding: remove what the encoder's padding added.
        start = self.shape.pad
        if self.shape.frequency:
            y = y[:, :, start : y.shape[2] - start]
        else:
            y = y[..., start : start + length]
        return y if self.final else F.gelu(y), x


def over_time(dconv: DConv, x: Tensor) -> Tensor:
    """Apply residual branches to (B, C, T), or separately to each bin of (B, C, F, K)."""
    if x.dim() == 3:
        return dconv(x)
    batch, _, bins, _ = x.shape
    # (B, C, F, K) -> (B F, C, K) and back
    return dconv(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (batch, bins)).transpose(1, 2)


class BinEmbedding(nn.Module):
    """Learned embedding of the frequency of each bin.

    Convolutions over frequency alone are invariant to transposition. Weights are stored divided by
    `scale`, which raises their effective learning rate. Their initial values are cumulative sums
    over frequency, so that neighbouring bins begin with similar embeddings.
    """

    def __init__(self, bins: int, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.embedding = nn.Embedding(bins, channels)
        weight = self.embedding.weight.data
        count = torch.arange(1, bins + 1, device=weight.device).sqrt()[:, None]
        weight.copy_(weight.cumsum(0) / count / scale)

    def forward(self) -> Tensor:
        """Return the embedding, (C, F, 1)."""
        return (self.embedding.weight * self.scale).T.unsqueeze(-1)
