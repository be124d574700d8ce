"""Applies a stack of temporal blocks, in tiles of frames during inference on a CPU.

On a full excerpt, memory bandwidth limits the speed of PReLU, normalisation and depthwise
convolution. Therefore, during inference on a CPU, each block is computed in tiles of a few hundred
frames. Such a tile stays in the cache. Each block requires two sweeps over the tiles:

    u = prelu(up(x))                       and the mean and variance of u
    z = down(prelu(depthwise(norm(u))))    and the mean and variance of the input of `down`

The mean and the variance for a global normalisation are known only after a sweep over all tiles.
The operation after each normalisation is linear. Therefore, the first normalisation is merged into
the weights of `depthwise`. The second normalisation is applied to z later, when the next block
computes its input x + z. Only u, x and z are stored for the full excerpt.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.temporal_blocks import EPSILON, Depthwise, Norm, TemporalBlock

TILE_FRAMES = 256
"""Number of frames of a tile per thread.

With 512 channels, a tile has 0.5 MB, which fits into the cache of a processor core.
"""


class TemporalConvNet(nn.Sequential):
    """Applies R repeats of X residual blocks; the dilation doubles from block to block.

    Args:
        B: number of channels between blocks.
        H: number of channels inside a block.
        P: kernel size of the depthwise convolutions.
        X: number of blocks in a repeat; the dilation of block x is 2**x.
        R: number of repeats.
        norm_type: type of normalisation, from :data:`cmss.models.temporal_blocks.NORMS`.
        causal: whether convolutions are padded only on the left.

    Shape:
        The input and the output have the shape (batch, K, B).
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
        """Apply the stack; the shape (batch, K, B) does not change."""
        if not _in_tiles(x):
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        with torch.autocast("cpu", enabled=False):
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            return torch.stack([self._tile_by_tile(example, dtype) for example in x])

    def _tile_by_tile(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Apply the blocks to x (K, B) in tiles, with matrix products in `dtype`."""
        blocks: list[Any] = [block for repeat in self.children() for block in repeat.children()]
        x = x.clone(memory_format=torch.contiguous_format)
        z = torch.empty_like(x)  # (K, B)
        u, spans = None, tiles(x[None])
        # The input of the next block is x + scale * z + offset, computed in its first sweep.
        scale, offset = 0.0, x.new_zeros(x.shape[1])
        for block in blocks:
            up, prelu, norm, down = block.net.children()
            depthwise, *_, inner_prelu, inner_norm, pointwise = down.net.children()
            up_weight = up.weight.squeeze(-1)  # (H, B)
            u = x.new_empty(len(x), len(up_weight)) if u is None else u  # (K, H)
            moments = _Moments(norm, u)
            # First sweep: update x, and compute u and the sums for its mean and variance.
            for tile in spans:
                if scale:
                    x[tile].add_(z[tile], alpha=scale).add_(offset)
                _multiply(x[tile], up_weight, u[tile], dtype)
                moments.add(F.leaky_relu_(u[tile], prelu.weight.item()))
            scale, shift = moments.scale_and_shift()
            gamma, beta = moments.gamma, moments.beta
            convolve = _Convolution(depthwise, gamma * scale, gamma * shift + beta)
            moments = _Moments(inner_norm, u)
            weight = pointwise.weight.squeeze(-1) * moments.gamma  # (B, H)
            # Second sweep: compute z without the scale and shift of the second norm.
            for tile in spans:
                y = F.leaky_relu_(convolve(u, tile), inner_prelu.weight.item())  # (frames, H)
                moments.add(y)
                _multiply(y, weight, z[tile], dtype)
            scale, shift = moments.scale_and_shift()
            # W (gamma (scale y + shift) + beta) = scale z + offset, with z = (W gamma) y.
            offset = weight.sum(1) * shift + pointwise.weight.squeeze(-1) @ moments.beta
        return x.add_(z, alpha=scale).add_(offset)


def _in_tiles(x: Tensor) -> bool:
    """Return whether to use tiles: on a CPU and without gradients.

    With gradients, all intermediate results must be stored, so tiles have no advantage.
    """
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def tiles(x: Tensor) -> list[slice]:
    """Return the tiles of a tensor (batch, K, channels) as slices of frames.

    In training and on devices other than a CPU, a single tile contains all frames.
    """
    frames = x.shape[1]
    step = TILE_FRAMES * torch.get_num_threads() if _in_tiles(x) else frames
    return [slice(start, min(start + step, frames)) for start in range(0, frames, step)]


def _multiply(x: Tensor, weight: Tensor, out: Tensor, dtype: torch.dtype) -> None:
    """Compute x @ weight.T in `dtype`, and write the result to `out`."""
    if dtype == x.dtype:
        torch.mm(x, weight.T, out=out)
    else:
        out.copy_(torch.mm(x.to(dtype), weight.T.to(dtype)))


class _Moments:
    """Computes the normalisation gamma * (scale * y + shift) + beta of an input y in tiles.

    For the global normalisation gLN, scale and shift are known only after :meth:`add` has added all
    tiles. Other types of normalisation are applied to each tile immediately, without gamma and
    beta.

    Args:
        norm: normalisation layer of the block.
        y: tensor whose shape (K, channels) is the shape of the full input, and whose dtype and
            device are those of the tiles. The values of `y` are not used.
    """

    def __init__(self, norm: Norm, y: Tensor) -> None:
        self.norm, self.count = norm, y.numel()
        self.gamma, self.beta = y.new_ones(y.shape[1]), y.new_zeros(y.shape[1])
        if norm.gamma is not None:
            self.gamma, self.beta = norm.gamma.flatten(), norm.beta.flatten()
        self.total = self.squares = 0.0

    def add(self, y: Tensor) -> None:
        """Add a tile to the sums of values and squares (gLN), or normalise the tile in place (cLN).

        The tile has the shape (frames, channels).
        """
        if self.norm.norm_type == "gLN":
            flat = y.view(-1)
            self.total += flat.sum().item()
            self.squares += flat.dot(flat).item()
        elif self.norm.norm_type == "cLN":
            y.copy_(self.norm.normalise(y[None])[0])

    def scale_and_shift(self) -> tuple[float, float]:
        """Return the scale and the shift of the normalisation.

        Call this method only after :meth:`add` has been called for all tiles.
        """
        if self.norm.norm_type != "gLN":
            return 1.0, 0.0
        mean = self.total / self.count
        # The difference may be negative because of rounding errors.
        variance = max(self.squares / self.count - mean * mean, 0.0)
        scale = (variance + EPSILON) ** -0.5
        return scale, -mean * scale


class _Convolution:
    """Multiplies each channel by a scale, adds an offset, and convolves the result, in tiles.

    Args:
        depthwise: the convolution.
        scale, offset: scale and offset of each channel, arrays of shape (channels,).
    """

    def __init__(self, depthwise: Depthwise, scale: Tensor, offset: Tensor) -> None:
        (self.step,), self.before = depthwise.dilation, depthwise.before
        weight = depthwise.weight.squeeze(1).T  # (P, channels)
        # The sum of w (scale u + offset) over taps is a convolution of u, plus a constant for each
        # channel.
        self.weights, self.offsets = weight * scale, weight * offset  # (P, channels) each
        self.offset = self.offsets.sum(0)  # (channels,)
        self.y = scale.new_empty(0)

    def __call__(self, u: Tensor, tile: slice) -> Tensor:
        """Convolve u (K, channels), and return the frames of the result that `tile` selects.

        The next call overwrites the result.
        """
        frames = tile.stop - tile.start
        if len(self.y) < frames:
            self.y = u.new_empty(frames, u.shape[1])
        y = self.y[:frames].copy_(self.offset)
        for tap, (weight, offset) in enumerate(zip(self.weights, self.offsets, strict=True)):
            first = tile.start - self.before + tap * self.step  # frame of u for y[0]
            inside = slice(min(max(-first, 0), frames), max(min(len(u) - first, frames), 0))
            y[inside].addcmul_(u[first + inside.start : first + inside.stop], weight)
            # The zero padding at both ends is inserted after the norm. Therefore, frames of the
            # padding have no offset.
            y[: inside.start].sub_(offset)
            y[inside.stop :].sub_(offset)
        return y
