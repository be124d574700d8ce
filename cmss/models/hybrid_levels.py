"""The levels of Hybrid Demucs: encoders, the decoders opposite, and what tells bins apart.

After the authors' code, facebookresearch/demucs (MIT; see NOTICE), with its names of parameters.

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
    """What an encoder of a level and the decoder opposite have in common.

    Args:
        inputs: channels of the level above.
        width: channels.
        kernel, stride: of the convolution between them.
        frequency: whether that runs over frequency rather than time.
        pad: samples or bins by which it reaches over either end.
        groups: of the group normalisation; 0 for none.
        dconv: arguments of :class:`DConv`.
        last: where the branches meet: of the waveform's, only the convolution is left.
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
        """The normalisation of so many channels."""
        return nn.GroupNorm(self.groups, channels) if self.groups else nn.Identity()

    def over(self, size: int, other: int) -> Any:
        """A size along the axis that the convolution runs over, and along the other if any."""
        return (size, other) if self.frequency else size


class Encoder(nn.Module):
    """From one level to the next: (B, C, F, K) or (B, C, T), fewer bins or samples."""

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
        """As above; `inject` is the waveform's branch where both meet, (B, C, K)."""
        if not self.shape.frequency:
            if x.dim() == 4:
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
    """The way back: what its encoder gave is added, and the encoder's input's size restored.

    Args:
        shape: of the encoder.
        outputs: channels.
        dconv: whether there are residual branches.
        context: see :class:`cmss.models.hybrid.HybridArguments`.
        final: whether it is the last one, which has no activation.
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
        """Result, `length` samples of it over time, and what the last convolution made it from."""
        if self.shape.frequency and x.dim() == 3:
            x = x.unflatten(1, (self.shape.width, -1))
        if skip is not None:
            x = F.glu(self.norm1(self.rewrite(x + skip)), dim=1)
            if self.dconv is not None:
                x = over_time(self.dconv, x)
        y = self.norm2(self.conv_tr(x))
        start = self.shape.pad
        if self.shape.frequency:
            y = y[:, :, start : y.shape[2] - start]
        else:
            y = y[..., start : start + length]
        return y if self.final else F.gelu(y), x


def over_time(dconv: DConv, x: Tensor) -> Tensor:
    """Residual branches on (B, C, T), or on each bin of (B, C, F, K) for itself."""
    if x.dim() == 3:
        return dconv(x)
    batch, _, bins, _ = x.shape
    return dconv(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (batch, bins)).transpose(1, 2)


class BinEmbedding(nn.Module):
    """What tells bins apart, which convolutions over frequency do not.

    Its weights are kept `scale` times too small, so that they learn faster, and start smooth, as
    sums of those below them.
    """

    def __init__(self, bins: int, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.embedding = nn.Embedding(bins, channels)
        weight = self.embedding.weight.data
        count = torch.arange(1, bins + 1, device=weight.device).sqrt()[:, None]
        weight.copy_(weight.cumsum(0) / count / scale)

    def forward(self) -> Tensor:
        """(C, F, 1)."""
        return (self.embedding.weight * self.scale).T.unsqueeze(-1)
