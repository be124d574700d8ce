"""Defines the layers of all generations of Demucs.

The code is based on branches v1 to v4 of facebookresearch/demucs (MIT licence; see NOTICE).
Parameters have the same names as in the authors' code.

In shapes, B is the batch size, C the number of channels, T the number of time steps, F the number
of frequency bins, and K the number of frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rescale(module: nn.Module, reference: float) -> None:
    """Rescale the initial weights of each convolution towards a reference standard deviation.

    The new standard deviation is the geometric mean of the old standard deviation and `reference`
    (Defossez et al. 2019, "Music Source Separation in the Waveform Domain", section 4.1).
    """
    convolutions = nn.Conv1d | nn.ConvTranspose1d | nn.Conv2d | nn.ConvTranspose2d
    for layer in module.modules():
        if isinstance(layer, convolutions) and not layer.weight.is_meta:
            scale = (layer.weight.std().detach() / reference) ** 0.5
            layer.weight.data /= scale
            if layer.bias is not None:
                layer.bias.data /= scale


class BLSTM(nn.Module):
    """Applies a bidirectional LSTM and a linear layer to features (B, C, T).

    The linear layer restores the number of channels C.

    Args:
        channels: number of channels C.
        layers: number of layers of the LSTM.
        longest: largest number of time steps that are processed at once. If `longest` is None,
            there is no limit. Longer inputs are cut into chunks of `longest` time steps;
            consecutive chunks overlap by half. Where two chunks overlap, each output step comes
            from the chunk in which the step is farther from the nearest end.
        skip: whether to add the input to the output.
    """

    def __init__(
        self, channels: int, layers: int, longest: int | None = None, skip: bool = False
    ) -> None:
        super().__init__()
        self.longest, self.skip = longest, skip
        self.lstm = nn.LSTM(channels, channels, layers, bidirectional=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the LSTM and the linear layer; the shape (B, C, T) does not change."""
        if self.longest is None or x.shape[-1] <= self.longest:
            y = self._run(x)
        else:
            y = self._in_chunks(x, self.longest)
        return x + y if self.skip else y

    def _run(self, x: Tensor) -> Tensor:
        y, _ = self.lstm(x.permute(2, 0, 1))  # (T, B, 2 C), outputs of both directions
        return self.linear(y).permute(1, 2, 0)  # (B, C, T)

    def _in_chunks(self, x: Tensor, width: int) -> Tensor:
        batch, channels, steps = x.shape
        stride, edge = width // 2, width // 4
        count = -(-steps // stride)
        # (B, C, count, width): chunks become examples of a larger batch.
        chunks = F.pad(x, (0, (count - 1) * stride + width - steps)).unfold(-1, width, stride)
        y = self._run(chunks.transpose(1, 2).reshape(-1, channels, width))  # (B count, C, width)
        y = y.view(batch, count, channels, width)
        # The first and the last quarter of each chunk are dropped, except at the ends.
        # (B, count - 2, C, width / 2) -> (B, C, (count - 2) width / 2)
        middle = y[:, 1:-1, :, edge:-edge].transpose(1, 2).flatten(2)
        return torch.cat((y[:, 0, :, :-edge], middle, y[:, -1, :, edge:]), -1)[..., :steps]


class LocalState(nn.Module):
    """Applies attention between time steps, with a learned penalty on their distance.

    Instead of a positional embedding, each attention head subtracts a penalty from its scores. The
    penalty is proportional to the distance between two time steps, and its slope depends on the
    query. No time step attends to itself (Defossez 2021, "Hybrid Spectrogram and Waveform Source
    Separation", section 3.1).

    Args:
        channels: number of channels C, a multiple of `heads`.
        heads: number of attention heads.
        decays: number of fixed slopes. The slope with the number n, from 1 to `decays`, is
            n / sqrt(`decays`). The slope of the penalty for a query is a weighted sum of the fixed
            slopes.
    """

    def __init__(self, channels: int, heads: int = 4, decays: int = 4) -> None:
        super().__init__()
        self.heads, self.decays = heads, decays
        self.content = nn.Conv1d(channels, channels, 1)
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(channels, channels, 1)
        self.query_decay = nn.Conv1d(channels, heads * decays, 1)
        self.proj = nn.Conv1d(channels, channels, 1)
        # The initial penalty is small, so that training begins with attention to all steps.
        self.query_decay.weight.data *= 0.01
        assert self.query_decay.bias is not None
        self.query_decay.bias.data.fill_(-2)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the attention; the shape (B, C, T) does not change."""
        steps = torch.arange(x.shape[-1], device=x.device)
        distance = (steps[:, None] - steps).abs()  # (key, query)
        query, key, content = (  # (B, heads, C / heads, T) each
            layer(x).unflatten(1, (self.heads, -1))
            for layer in (self.query, self.key, self.content)
        )
        scores = (key.mT @ query).float() / key.shape[2] ** 0.5  # (B, heads, key, query)
        slopes = torch.arange(1, self.decays + 1, device=x.device)
        # The gains of the fixed slopes are between 0 and 1/2 for each query. The slope of a query
        # is the weighted sum: (B, heads, decays, T) -> (B, heads, 1, T)
        gains = self.query_decay(x).float().unflatten(1, (self.heads, -1)).sigmoid() / 2
        slope = (gains * slopes[:, None]).sum(2, keepdim=True) / self.decays**0.5
        scores = scores - distance * slope
        # A score of -100 excludes a step's attention to itself.
        diagonal = torch.eye(x.shape[-1], device=x.device, dtype=torch.bool)
        weights = scores.masked_fill(diagonal, -100).softmax(2)
        y = content @ weights.to(content.dtype)  # (B, heads, C / heads, T)
        return x + self.proj(y.flatten(1, 2))


class LayerScale(nn.Module):
    """Multiplies each channel of a residual by a learned factor that is small at first.

    See Touvron et al. 2021, "Going deeper with image transformers", section 2.

    Args:
        channels: number of channels C.
        start: initial value of the factors.
        last: whether the input has the shape (B, T, C) instead of (B, C, T).
    """

    def __init__(self, channels: int, start: float, last: bool = False) -> None:
        super().__init__()
        self.last = last
        self.scale = nn.Parameter(torch.full((channels,), start))

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels; the shape does not change."""
        return x * (self.scale if self.last else self.scale[:, None])


class DConv(nn.Module):
    """Applies residual branches of dilated convolutions over time, with few channels.

    Args:
        channels: number of channels C.
        compress: ratio of C to the number of channels inside a branch.
        depth: number of branches; each branch has twice the dilation of the previous branch.
        start: initial value of the factors in :class:`LayerScale`.
        attention: whether each branch has a :class:`LocalState`.
        lstm: whether each branch has a :class:`BLSTM`, which precedes the attention.

    Shape:
        The input has the shape (B, C, T) or (B, C, F, K). For an input (B, C, F, K), each bin is
        processed separately. The output has the same shape as the input.
    """

    def __init__(
        self,
        channels: int,
        compress: float = 4,
        depth: int = 2,
        start: float = 1e-4,
        attention: bool = False,
        lstm: bool = False,
    ) -> None:
        super().__init__()
        hidden = int(channels / compress)
        self.layers = nn.ModuleList()
        for level in range(depth):
            dilation = 2**level
            inner: list[nn.Module] = []
            inner += [BLSTM(hidden, 2, longest=200, skip=True)] if lstm else []
            inner += [LocalState(hidden)] if attention else []
            self.layers.append(
                nn.Sequential(
                    nn.Conv1d(channels, hidden, 3, dilation=dilation, padding=dilation),
                    nn.GroupNorm(1, hidden),
                    nn.GELU(),
                    *inner,
                    nn.Conv1d(hidden, 2 * channels, 1),
                    nn.GroupNorm(1, 2 * channels),
                    nn.GLU(1),
                    LayerScale(channels, start),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the branches; the shape does not change."""
        shape = x.shape
        if x.dim() == 4:  # bins become examples of a larger batch
            x = x.transpose(1, 2).flatten(0, 1)  # (B, C, F, K) -> (B F, C, K)
        for layer in self.layers:
            x = x + layer(x)
        if len(shape) == 4:
            x = x.unflatten(0, (shape[0], shape[2])).transpose(1, 2)  # (B, C, F, K)
        return x


@dataclass(frozen=True)
class LevelArguments:
    """Arguments that the encoder and the decoder of a level share.

    Args:
        inputs: number of channels of the level above.
        width: number of channels of the level.
        kernel, stride: kernel size and stride of the convolution between this level and the level
            above.
        frequency: whether the convolution is over frequency instead of time.
        pad: number of samples or bins of padding at each end.
        groups: number of groups of the group normalisation; 0 for no normalisation.
        dconv: arguments of :class:`DConv`.
        last: whether the level has only the convolution; true for the last level of the waveform
            branch before the two branches merge.
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
        """Build the normalisation layer for a number of channels."""
        return nn.GroupNorm(self.groups, channels) if self.groups else nn.Identity()

    def over(self, size: int, other: int) -> Any:
        """Return the tuple (size, other) if the convolution has two axes, else return `size`."""
        return (size, other) if self.frequency else size


class Encoder(nn.Module):
    """Encodes a level: reduces the number of bins or samples."""

    def __init__(self, level: LevelArguments, dconv: bool) -> None:
        super().__init__()
        self.level = level
        convolution = nn.Conv2d if level.frequency else nn.Conv1d
        self.conv = convolution(
            level.inputs,
            level.width,
            level.over(level.kernel, 1),
            level.over(level.stride, 1),
            level.over(level.pad, 0),
        )
        if level.last:
            return
        self.norm1 = level.norm(level.width)
        self.rewrite = convolution(level.width, 2 * level.width, 1)
        self.norm2 = level.norm(2 * level.width)
        self.dconv = DConv(level.width, **level.dconv) if dconv else None

    def forward(self, x: Tensor, inject: Tensor | None = None) -> Tensor:
        """Apply the encoder to features (B, C, F, K) or (B, C, T).

        At the level where the two branches merge, the argument `inject` (B, C, K) is the output of
        the waveform branch. At other levels, `inject` is None.
        """
        if not self.level.frequency:
            if x.dim() == 4:  # the first level after the merge, whose input has a single bin
                x = x.flatten(1, 2)  # (B, C, 1, K) -> (B, C, K)
            x = F.pad(x, (0, -x.shape[-1] % self.level.stride))
        x = self.conv(x)  # (B, width, F / stride, K) or (B, width, T / stride)
        if self.level.last:
            return x
        if inject is not None:
            x = x + (inject.unsqueeze(2) if x.dim() == 4 else inject)  # (B, width, 1, K)
        x = F.gelu(self.norm1(x))
        if self.dconv is not None:
            x = self.dconv(x)
        # A gated linear unit halves the channels: 2 width -> width.
        return F.glu(self.norm2(self.rewrite(x)), dim=1)


class Decoder(nn.Module):
    """Decodes a level: adds the skip connection and restores the size of the encoder's input.

    Args:
        level: arguments that the decoder shares with the encoder of the level.
        outputs: number of output channels.
        dconv: whether the decoder has residual branches.
        context: see :class:`cmss.models.hybrid.HybridArguments`.
        final: whether this is the last decoder, which has no activation function.
    """

    def __init__(
        self, level: LevelArguments, outputs: int, dconv: bool, context: int, final: bool
    ) -> None:
        super().__init__()
        self.level, self.final = level, final
        transposed = nn.ConvTranspose2d if level.frequency else nn.ConvTranspose1d
        self.conv_tr = transposed(
            level.width, outputs, level.over(level.kernel, 1), level.over(level.stride, 1)
        )
        self.norm2 = level.norm(outputs)
        if level.last:
            return
        convolution = nn.Conv2d if level.frequency else nn.Conv1d
        self.rewrite = convolution(level.width, 2 * level.width, 1 + 2 * context, padding=context)
        self.norm1 = level.norm(2 * level.width)
        self.dconv = DConv(level.width, **level.dconv) if dconv else None

    def forward(self, x: Tensor, skip: Tensor | None, length: int) -> tuple[Tensor, Tensor]:
        """Apply the decoder.

        Args:
            x: output of the decoder below; for the lowest decoder, output of
                :meth:`cmss.models.hybrid.Hybrid.bottom`.
            skip: skip connection from the encoder; None if there is no skip connection.
            length: number of samples of the output, if the convolution is over time.

        Returns:
            The output of the decoder and the input of the decoder's last convolution.
        """
        if self.level.frequency and x.dim() == 3:
            x = x.unflatten(1, (self.level.width, -1))  # (B, width, K) -> (B, width, 1, K)
        if skip is not None:
            x = F.glu(self.norm1(self.rewrite(x + skip)), dim=1)  # 2 width -> width channels
            if self.dconv is not None:
                x = self.dconv(x)
        y = self.norm2(self.conv_tr(x))  # (B, outputs, F stride, K) or (B, outputs, T stride)
        # The transposed convolution has no padding. Therefore, the bins or samples that the padding
        # of the encoder has added are removed here.
        start = self.level.pad
        if self.level.frequency:
            y = y[:, :, start : y.shape[2] - start]
        else:
            y = y[..., start : start + length]
        return y if self.final else F.gelu(y), x


class BinEmbedding(nn.Module):
    """Holds a learned embedding of the frequency of each bin.

    Without the embedding, convolutions over frequency could not distinguish bins. The stored
    weights are the embedding divided by `scale`. This division raises the effective learning rate
    of the embedding. The initial weights are cumulative sums over frequency, so that neighbouring
    bins initially have similar embeddings.
    """

    def __init__(self, bins: int, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.embedding = nn.Embedding(bins, channels)
        weight = self.embedding.weight.data
        count = torch.arange(1, bins + 1, device=weight.device).sqrt()[:, None]
        weight.copy_(weight.cumsum(0) / count / scale)

    def forward(self) -> Tensor:
        """Return the embedding, an array of shape (C, F, 1)."""
        return (self.embedding.weight * self.scale).T.unsqueeze(-1)
