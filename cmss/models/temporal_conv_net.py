"""A stack of temporal blocks: whole while it learns, tile by tile when it only has to answer.

Over a whole excerpt most of a block's time goes into reading and writing memory: PReLU, norm and
depthwise convolution wait for it, products of matrices do not. So without gradients, on a
processor, a block goes through a few hundred frames at a time, which stay in the cache, twice:

    u = prelu(up(x))                       and the moments of u
    z = down(prelu(depthwise(norm(u))))    and the moments of what `down` sees

What a global norm scales and shifts by is known only when all of the excerpt has been seen. What
follows it is linear: `depthwise` takes the first norm into its weights, and the second one is
applied to z when the next block reads its input, x + z. Only u, x and z are ever whole.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.temporal_blocks import EPSILON, Depthwise, GlobalLayerNorm, Norm, TemporalBlock

TILE_FRAMES = 256
"""For each thread; 512 channels of as many frames are half a megabyte, a core's cache."""


class TemporalConvNet(nn.Sequential):
    """R repeats of X residual blocks whose dilation doubles.

    Args:
        B: channels between the blocks.
        H: channels inside a block.
        P: kernel size of the depthwise convolutions.
        X: blocks in a repeat; block x has dilation 2**x.
        R: repeats.
        norm_type: key of :data:`cmss.models.temporal_blocks.NORMS`.
        causal: pad on the left alone.

    Shape:
        - input and output (batch, K, B)
    """

    def __init__(
        self, B: int, H: int, P: int, X: int, R: int, norm_type: str, causal: bool
    ) -> None:
        super().__init__(
            *(
                nn.Sequential(*(TemporalBlock(B, H, P, 2**x, norm_type, causal) for x in range(X)))
                for _ in range(R)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, K, B) -> (batch, K, B)."""
        if not _in_tiles(x):
            return super().forward(x)
        blocks = [block for repeat in self.children() for block in repeat.children()]
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        with torch.autocast("cpu", enabled=False):
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            return torch.stack([_tile_by_tile(blocks, one, kind) for one in x])


def _in_tiles(x: Tensor) -> bool:
    """Gradients want what was computed on the way; a GPU waits for none of its small caches."""
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def tiles(x: Tensor) -> list[slice]:
    """Frames of (batch, K, channels) to go through together; all of them outside inference."""
    frames = x.shape[1]
    step = TILE_FRAMES * torch.get_num_threads() if _in_tiles(x) else frames
    return [slice(start, min(start + step, frames)) for start in range(0, frames, step)]


def _tile_by_tile(blocks: Sequence[Any], x: Tensor, kind: torch.dtype) -> Tensor:
    """(K, B) -> (K, B); products of matrices are of this kind, all else is of that of x."""
    x = x.clone(memory_format=torch.contiguous_format)
    z = torch.empty_like(x)
    u, spans = None, tiles(x[None])
    scale, offset = 0.0, x.new_zeros(x.shape[1])  # of z, in the input of the next block
    for block in blocks:
        up, prelu, norm, down = block.net.children()
        depthwise, *_, inner_prelu, inner_norm, pointwise = down.net.children()
        up_weight = up.weight.squeeze(-1)
        u = x.new_empty(len(x), len(up_weight)) if u is None else u
        moments = _Moments(norm, u)
        for tile in spans:
            if scale:
                x[tile].add_(z[tile], alpha=scale).add_(offset)
            _multiply(x[tile], up_weight, u[tile], kind)
            moments.add(F.leaky_relu_(u[tile], prelu.weight.item()))
        scale, shift = moments.scale_and_shift()
        gamma, beta = moments.gamma, moments.beta
        convolve = _Convolution(depthwise, gamma * scale, gamma * shift + beta)
        moments = _Moments(inner_norm, u)
        weight = pointwise.weight.squeeze(-1) * moments.gamma
        for tile in spans:
            y = F.leaky_relu_(convolve(u, tile), inner_prelu.weight.item())
            moments.add(y)
            _multiply(y, weight, z[tile], kind)
        scale, shift = moments.scale_and_shift()
        offset = weight.sum(1) * shift + pointwise.weight.squeeze(-1) @ moments.beta
    return x.add_(z, alpha=scale).add_(offset)


def _multiply(x: Tensor, weight: Tensor, out: Tensor, kind: torch.dtype) -> None:
    """Fill `out` with x weight.T."""
    if kind == x.dtype:
        torch.mm(x, weight.T, out=out)
    else:
        out.copy_(torch.mm(x.to(kind), weight.T.to(kind)))


class _Moments:
    """A norm over tiles, gamma (scale y + shift) + beta, of which scale and shift are known last.

    Any norm but the global one is known at once: it is applied to each tile, gamma and beta apart.

    Args:
        norm: of the block.
        y: (K, channels), what has the shape of all tiles together.
    """

    def __init__(self, norm: nn.Module, y: Tensor) -> None:
        self.norm, self.count = norm, y.numel()
        self.gamma, self.beta = y.new_ones(y.shape[1]), y.new_zeros(y.shape[1])
        if isinstance(norm, Norm):
            self.gamma, self.beta = norm.gamma.flatten(), norm.beta.flatten()
        self.total = self.squares = 0.0

    def add(self, y: Tensor) -> None:
        """Take note of a tile (frames, channels), or normalise it in place."""
        if isinstance(self.norm, GlobalLayerNorm):
            flat = y.view(-1)
            self.total += flat.sum().item()
            self.squares += flat.dot(flat).item()
        elif isinstance(self.norm, Norm):
            y.copy_(self.norm.normalise(y[None])[0])

    def scale_and_shift(self) -> tuple[float, float]:
        """After the last tile."""
        if not isinstance(self.norm, GlobalLayerNorm):
            return 1.0, 0.0
        mean = self.total / self.count
        variance = max(self.squares / self.count - mean * mean, 0.0)
        scale = (variance + EPSILON) ** -0.5
        return scale, -mean * scale


class _Convolution:
    """A depthwise convolution of tiles, after a scale and an offset of each channel.

    Args:
        depthwise: the convolution.
        scale, offset: (channels,).
    """

    def __init__(self, depthwise: Depthwise, scale: Tensor, offset: Tensor) -> None:
        (self.step,), self.before = depthwise.dilation, depthwise.before
        weight = depthwise.weight.squeeze(1).T  # (P, channels)
        self.weights, self.offsets = weight * scale, weight * offset
        self.offset = self.offsets.sum(0)
        self.y = scale.new_empty(0)

    def __call__(self, u: Tensor, tile: slice) -> Tensor:
        """Frames `tile` of what becomes of u (K, channels); valid until the next call."""
        frames = tile.stop - tile.start
        if len(self.y) < frames:
            self.y = u.new_empty(frames, u.shape[1])
        y = self.y[:frames].copy_(self.offset)
        for tap, (weight, offset) in enumerate(zip(self.weights, self.offsets, strict=True)):
            first = tile.start - self.before + tap * self.step  # the frame of u that y[0] meets
            inside = slice(min(max(-first, 0), frames), max(min(len(u) - first, frames), 0))
            y[inside].addcmul_(u[first + inside.start : first + inside.stop], weight)
            # Beyond both ends are zeros that norms have not seen.
            y[: inside.start].sub_(offset)
            y[inside.stop :].sub_(offset)
        return y
