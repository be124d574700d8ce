"""Applies a post-filter to a recording in consecutive tiles of frames.

Each layer stores the last frames of the layer's activations, so that no frame is computed twice.
All layers add their outputs to the same array, each layer to earlier frames than the layer before.
At the input of each layer, frames before and after the recording are zero. These zeros correspond
to the zero padding of a convolution. Except for rounding errors, the result is the same as if all
frames were processed at once.

In shapes, S is the number of sources, F the number of frequency bins, K the number of frames of a
tile, and C the number of channels. In memory, the order of the axes is (S, K, F, C), so that frames
are contiguous and a 1 x 1 convolution is a matrix product.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from cmss.machine.threads import for_each
from cmss.transforms.tiles import divided, tiles

STREAM_FRAMES = 144
"""Largest number of frames in a tile of :class:`Stream`.

Each call of a convolution and each start of the threads takes some time. In short tiles, this time
is not negligible.
"""


class Block(nn.Module):
    """Applies a residual block to the features of each source and to the mean over sources."""

    def __init__(self, channels: int, dilation: Sequence[int]) -> None:
        super().__init__()
        bins, frames = dilation
        self.own, self.mean = (
            nn.Conv2d(channels, channels, 3, 1, (bins, frames), (bins, frames), bias=False)
            for _ in range(2)
        )
        self.out = nn.Conv2d(channels, channels, 1, bias=False)
        # Small initial weights make the training of deep networks possible.
        self.out.weight.data.mul_(0.3)

    def forward(self, hidden: Tensor) -> Tensor:
        """Apply the block; the shape (S, C, F, K) does not change."""
        # Sources are added in a loop, because torch.sum over the sources and its gradient would
        # take as much time as the rest of the block.
        active = relu(hidden).split(1)
        mean = self.mean(sum(active[1:], active[0]) / len(active))  # (1, C, F, K)
        own = self.own(torch.cat(active)).split(1)
        return hidden + self.out(relu(torch.cat([source + mean for source in own])))


class Stream:
    """Computes corrections for consecutive tiles of frames.

    Args:
        first: the first layer, a 1 x 1 convolution of the features.
        blocks: the residual blocks.
        last: the last layer, a 1 x 1 convolution whose outputs are the corrections.
        sources: number of sources.
        bins: number of frequency bins.
        frames: number of frames of the recording.
        dtype: data type of the features, the weights and the hidden values.
    """

    def __init__(
        self,
        first: nn.Conv2d,
        blocks: Iterable[Block],
        last: nn.Conv2d,
        sources: int,
        bins: int,
        frames: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._layers = [_Layer(block, sources, bins, dtype) for block in blocks]
        self._first, self._last = _matrix(first, dtype), _matrix(last, dtype)
        assert first.bias is not None
        assert last.bias is not None
        self._biases = first.bias.to(dtype), last.bias.to(dtype)
        self._frames = frames
        self.delay = sum(layer.delay for layer in self._layers)
        longest = max((layer.delay for layer in self._layers), default=0)
        tile = min(frames + self.delay, STREAM_FRAMES)
        # Hidden values of the frames that some layers have not changed yet, and of the next frames.
        hidden = (sources, self.delay + tile, bins, first.out_channels)
        self._hidden = self._first.new_zeros(hidden)
        # Activations at the input of a layer.
        active = (sources, 2 * longest + tile, bins, first.out_channels)
        self._active = self._first.new_empty(active)

    def __call__(self, features: Callable[[slice], Tensor], tile: slice) -> Tensor:
        """Compute corrections from the features of the next frames.

        The corrections are those of the frames that begin :attr:`delay` frames before the tile.
        Therefore, the tiles must extend at least :attr:`delay` frames beyond the recording.

        Args:
            features: function that returns the N features of some frames, an array of shape
                (S, N, F, K). The function is called for those slices of `tile` that lie in the
                recording, in several threads.
            tile: the next frames, at most :data:`STREAM_FRAMES` frames.

        Returns:
            The corrections, an array of shape (S, 2, F, K). The values of frames outside of the
            recording are arbitrary.
        """
        frames = tile.stop - tile.start
        hidden = self._hidden[:, : self.delay + frames]

        def begin(part: slice) -> None:
            start = self.delay - tile.start
            given = hidden[:, start + part.start : start + part.stop]
            for of_source, result in zip(features(part), given, strict=True):
                rows = of_source.mT.reshape(len(of_source), -1).T.to(self._first.dtype)  # (K F, N)
                torch.addmm(self._biases[0], rows, self._first, out=_rows(result))

        inside = self._inside(tile.start, frames)
        for_each(begin, tiles(slice(tile.start, tile.start + inside.stop)))
        hidden[:, self.delay + inside.stop :] = 0
        start = self.delay
        for layer in self._layers:
            start -= layer.delay
            needed = self._inside(tile.start + start - self.delay, frames)
            layer(hidden[:, start : start + layer.delay + frames], needed, self._active)
        corrections = hidden.new_empty(len(hidden), frames, hidden.shape[2], 2)

        def end(part: slice) -> None:
            for source, result in zip(hidden[:, part].relu_(), corrections[:, part], strict=True):
                torch.addmm(self._biases[1], _rows(source), self._last, out=_rows(result))

        for_each(end, divided(slice(0, frames)))
        kept = hidden[:, frames:]
        hidden[:, : self.delay] = kept if frames >= self.delay else kept.clone()
        return corrections.permute(0, 3, 2, 1)

    def _inside(self, first: int, frames: int) -> slice:
        """Return which of `frames` frames from the frame number `first` lie in the recording."""
        return slice(min(max(-first, 0), frames), min(max(self._frames - first, 0), frames))


class _Layer:
    """Applies a residual block and stores the last frames of the block's activations.

    The output is delayed by `delay` frames relative to the input.
    """

    def __init__(self, block: Block, sources: int, bins: int, dtype: torch.dtype) -> None:
        # The kernel of the mean is applied to the sum over sources.
        self._own, self._mean = (
            kernel.detach().transpose(2, 3).to(dtype).contiguous(memory_format=torch.channels_last)
            for kernel in (block.own.weight, block.mean.weight / sources)
        )
        self._out = _matrix(block.out, dtype)
        self._spread, self.delay = block.own.dilation
        self._kept = self._own.new_zeros(sources, 2 * self.delay, bins, len(self._own))

    def __call__(self, hidden: Tensor, needed: slice, scratch: Tensor) -> None:
        """Add the output of the block to the hidden values.

        Args:
            hidden: hidden values, an array of shape (S, delay + K, F, C). The last K frames are the
                next frames of the input, and the first K frames are changed.
            needed: those of the first K frames that lie in the recording; the other frames do not
                change.
            scratch: memory for the activations, an array of at least the shape (S, 2 delay + K, F,
                C).
        """
        delay = self.delay
        inputs, outputs = hidden[:, delay:], hidden[:, : hidden.shape[1] - delay]
        frames = inputs.shape[1]
        active = scratch[:, : 2 * delay + frames]

        def activate(part: slice) -> None:
            torch.clamp_min(inputs[:, part], 0, out=active[:, 2 * delay :][:, part])

        def convolve(part: slice) -> None:
            given = active[:, part.start : part.stop + 2 * delay]
            # Sources are added in a loop, because torch.sum over the sources is slow.
            total = given[0].clone()
            for source in given[1:]:
                total += source
            mean = self._convolved(total, self._mean)
            for source, output in zip(given, outputs, strict=True):
                own = self._convolved(source, self._own).add_(mean).relu_()
                _rows(output[part]).addmm_(_rows(own), self._out)

        active[:, : 2 * delay] = self._kept
        for_each(activate, divided(slice(0, frames)))
        if needed.start < needed.stop:
            for_each(convolve, divided(needed))
        self._kept.copy_(active[:, frames:])

    def _convolved(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """Convolve an input (K + 2 delay, F, C); the output has the shape (K, F, C)."""
        channels_last = inputs.permute(2, 0, 1).unsqueeze(0)  # (1, C, K + 2 delay, F), a view
        dilation = (self.delay, self._spread)
        # The inputs include the context frames, so only bins are padded.
        convolved = conv2d(channels_last, weight, None, 1, (0, self._spread), dilation)
        return convolved[0].permute(1, 2, 0)


def _rows(inputs: Tensor) -> Tensor:
    """View an array (K, F, C) as a matrix (K F, C)."""
    return inputs.view(-1, inputs.shape[-1])


def _matrix(convolution: nn.Conv2d, dtype: torch.dtype) -> Tensor:
    """Return the weights of a 1 x 1 convolution as a matrix (inputs, outputs)."""
    return convolution.weight.detach().flatten(1).T.to(dtype).contiguous()
