"""Layers shared by the generations of Demucs, with the authors' names of parameters.

Based on facebookresearch/demucs (MIT; see NOTICE), branches v1 to v4.

Shapes: B batch, C channels, T steps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.ConvTranspose1d, nn.Conv2d, nn.ConvTranspose2d)


def rescale(module: nn.Module, reference: float) -> None:
    """Rescale the initial weights of each convolution towards a reference standard deviation.

    The new standard deviation is the geometric mean of the old one and `reference` (Defossez et al.
    2019, "Music Source Separation in the Waveform Domain", section 4.1).
    """
    for layer in module.modules():
        if isinstance(layer, CONVOLUTIONS) and not layer.weight.is_meta:
            scale = (layer.weight.std().detach() / reference) ** 0.5
            layer.weight.data /= scale
            if layer.bias is not None:
                layer.bias.data /= scale


class BLSTM(nn.Module):
    """A bidirectional LSTM and a linear layer back to C channels: (B, C, T) -> (B, C, T).

    Args:
        channels: C.
        layers: of the LSTM.
        longest: longer inputs are processed in chunks of this many steps that overlap by half. Each
            step of the output comes from the chunk in which it is farther from the ends. None: no
            chunks.
        skip: add the input to the output.
    """

    def __init__(
        self, channels: int, layers: int, longest: int | None = None, skip: bool = False
    ) -> None:
        super().__init__()
        self.longest, self.skip = longest, skip
        self.lstm = nn.LSTM(channels, channels, layers, bidirectional=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the LSTM: (B, C, T) -> (B, C, T)."""
        if self.longest is None or x.shape[-1] <= self.longest:
            y = self._run(x)
        else:
            y = self._in_chunks(x, self.longest)
        return x + y if self.skip else y

    def _run(self, x: Tensor) -> Tensor:
        return self.linear(self.lstm(x.permute(2, 0, 1))[0]).permute(1, 2, 0)

    def _in_chunks(self, x: Tensor, width: int) -> Tensor:
        batch, channels, steps = x.shape
        stride, edge = width // 2, width // 4
        count = -(-steps // stride)
        # (B, C, count, width): chunks become examples of a larger batch.
        chunks = F.pad(x, (0, (count - 1) * stride + width - steps)).unfold(-1, width, stride)
        y = self._run(chunks.transpose(1, 2).reshape(-1, channels, width))
        y = y.view(batch, count, channels, width)
        # The first and the last quarter of each chunk are dropped, except at the ends.
        middle = y[:, 1:-1, :, edge:-edge].transpose(1, 2).flatten(2)
        return torch.cat((y[:, 0, :, :-edge], middle, y[:, -1, :, edge:]), -1)[..., :steps]


class LocalState(nn.Module):
    """Attention with a learned penalty on distance: (B, C, T) -> (B, C, T).

    Instead of a positional embedding, each head subtracts a penalty proportional to the distance,
    with a slope that depends on the query. No step attends to itself (Defossez 2021, "Hybrid
    Spectrogram and Waveform Source Separation", section 3.1).

    Args:
        channels: C, a multiple of `heads`.
        heads: of the attention.
        decays: number of slopes that are combined: 1 to `decays`, divided by sqrt(`decays`).
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
        """Apply the attention: (B, C, T) -> (B, C, T)."""
        steps = torch.arange(x.shape[-1], device=x.device)
        distance = (steps[:, None] - steps).abs()  # (key, query)
        query, key, content = (  # (B, heads, C / heads, T) each
            layer(x).unflatten(1, (self.heads, -1))
            for layer in (self.query, self.key, self.content)
        )
        scores = (key.mT @ query).float() / key.shape[2] ** 0.5  # (B, heads, key, query)
        slopes = torch.arange(1, self.decays + 1, device=x.device)
        # (B, heads, decays, T) -> (B, heads, 1, T)
        gains = self.query_decay(x).float().unflatten(1, (self.heads, -1)).sigmoid() / 2
        slope = (gains * slopes[:, None]).sum(2, keepdim=True) / self.decays**0.5
        scores = scores - distance * slope
        diagonal = torch.eye(x.shape[-1], device=x.device, dtype=torch.bool)
        weights = scores.masked_fill(diagonal, -100).softmax(2)
        return x + self.proj((content @ weights.to(content.dtype)).flatten(1, 2))


class LayerScale(nn.Module):
    """A learned factor for each channel of a residual, initially small (Touvron et al. 2021).

    Args:
        channels: C.
        start: initial factor.
        last: whether channels are the last axis, (B, T, C), instead of (B, C, T).
    """

    def __init__(self, channels: int, start: float, last: bool = False) -> None:
        super().__init__()
        self.last = last
        self.scale = nn.Parameter(torch.full((channels,), start))

    def forward(self, x: Tensor) -> Tensor:
        """Scale; the shape does not change."""
        return x * (self.scale if self.last else self.scale[:, None])


class DConv(nn.Module):
    """Residual branches of dilated convolutions with few channels: (B, C, T) -> (B, C, T).

    Args:
        channels: C.
        compress: a branch has C / compress channels.
        depth: number of branches; the dilation doubles from branch to branch.
        start: see :class:`LayerScale`.
        attention: whether each branch has a :class:`LocalState`.
        lstm: whether each branch has a :class:`BLSTM`, before the attention.
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
        """Apply the branches: (B, C, T) -> (B, C, T)."""
        for layer in self.layers:
            x = x + layer(x)
        return x
