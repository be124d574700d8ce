"""Applies a post-filter to a recording in consecutive tiles of frames.

Each layer stores the last frames of the layer's input, so that no frame is computed twice. Tiles
are so short that they stay in the caches of the processor. At the input of each layer, frames
before and after the recording are zero. These zeros correspond to the zero padding of a
convolution. Except for rounding errors, the result is the same as if all frames were processed at
once.

In shapes, S is the number of sources, F the number of frequency bins, K the number of frames of a
tile, and C the number of channels. In memory, the order of the axes is (S, K, F, C), so that frames
are contiguous and a 1 x 1 convolution is a matrix product.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from cmss.machine.threads import for_each
from cmss.transforms.tiles import TILE_FRAMES, divided


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
        longest = max((layer.delay for layer in self._layers), default=0)
        shape = (sources, TILE_FRAMES + 2 * longest, bins, first.out_channels)
        self._scratch, self._output = self._first.new_empty(shape), self._first.new_empty(shape)
        self._frames = frames
        self._given = 0
        self.delay = sum(layer.delay for layer in self._layers)

    def __call__(self, features: Callable[[slice], Tensor], tile: slice) -> Tensor:
        """Compute corrections from the features of the next frames.

        The corrections are delayed by :attr:`delay` frames relative to the features. After the last
        frame of the recording, the caller must pass further tiles until all corrections have been
        returned.

        Args:
            features: function that returns the N features of some frames, an array of shape
                (S, N, F, K). The function is called for slices of `tile`, in several threads. After
                the last frame of the recording, the function is not called.
            tile: the next frames, at most :data:`cmss.transforms.tiles.TILE_FRAMES` frames.

        Returns:
            The corrections, an array of shape (S, 2, F, K). The values of frames outside of the
            recording are arbitrary.
        """
        frames, at = tile.stop - tile.start, self._given
        self._given += frames
        # This is memory for the input of each layer and for the output of the last layer,
        # (S, K, F, C) each.
        rooms = [*(layer.room(frames) for layer in self._layers), self._output[:, :frames]]

        def begin(part: slice) -> None:
            frames_of_tile = slice(part.start - tile.start, part.stop - tile.start)
            for of_source, room in zip(features(part), rooms[0], strict=True):
                rows = of_source.mT.reshape(len(of_source), -1).T.to(self._first.dtype)  # (K F, N)
                torch.addmm(self._biases[0], rows, self._first, out=_rows(room[frames_of_tile]))

        if at < self._frames:
            for_each(begin, divided(tile))
        for layer, given, result in zip(self._layers, rooms[:-1], rooms[1:], strict=True):
            # Frames outside of the recording must be zero, but were not computed.
            inside = self._inside(at, frames)
            given[:, : inside.start] = 0
            given[:, inside.stop :] = 0
            at -= layer.delay
            layer(frames, self._inside(at, frames), self._scratch, result)
        corrections = [
            torch.addmm(self._biases[1], _rows(output.relu_()), self._last) for output in rooms[-1]
        ]
        return torch.stack(corrections).unflatten(1, (frames, -1)).permute(0, 3, 2, 1)

    def _inside(self, first: int, frames: int) -> slice:
        """Return which of `frames` frames from the frame number `first` lie in the recording."""
        return slice(min(max(-first, 0), frames), min(max(self._frames - first, 0), frames))


class _Layer:
    """Applies a residual block and stores the last frames of the block's input.

    The output is delayed by `delay` frames relative to the input.
    """

    def __init__(self, block: Block, sources: int, bins: int, dtype: torch.dtype) -> None:
        # The kernel of the mean is applied to the sum over sources.
        self._own, self._mean = (
            kernel.detach().transpose(2, 3).to(dtype).contiguous(memory_format=torch.channels_last)
            for kernel in (block.own.weight, block.mean.weight / sources)
        )
        self._out = _matrix(block.out, dtype)
        spread, self.delay = block.own.dilation
        self._spread = spread
        shape = (sources, TILE_FRAMES + 2 * self.delay, bins, len(self._own))
        self._inputs = self._own.new_zeros(shape)

    def room(self, frames: int) -> Tensor:
        """Return the memory for the next frames of the input, an array of shape (S, K, F, C)."""
        return self._inputs[:, 2 * self.delay :][:, :frames]

    def __call__(self, frames: int, needed: slice, scratch: Tensor, result: Tensor) -> None:
        """Apply the block to the frames in the memory that :meth:`room` returned.

        Args:
            frames: number of frames that the caller has written to this memory.
            needed: frames of the output that are computed; the other frames are arbitrary.
            scratch: memory for the activations, an array of at least the shape (S, K + 2 delay, F,
                C).
            result: memory into which the output is written, an array of shape (S, K, F, C).
        """
        delay = self.delay
        inputs = self._inputs[:, : 2 * delay + frames]
        active, total = scratch[:, : 2 * delay + frames], torch.empty_like(inputs[0])

        def activate(part: slice) -> None:
            torch.clamp_min(inputs[:, part], 0, out=active[:, part])
            # Sources are added in a loop, because torch.sum over the sources is slow.
            total[part] = active[0, part]
            for source in active[1:, part]:
                total[part] += source

        def convolve(part: slice) -> None:
            context = slice(part.start, part.stop + 2 * delay)
            mean = self._convolved(total[context], self._mean)
            for source, before, after in zip(active, inputs[:, delay:], result, strict=True):
                own = self._convolved(source[context], self._own).add_(mean).relu_()
                torch.addmm(_rows(before[part]), _rows(own), self._out, out=_rows(after[part]))

        def keep(source: Tensor) -> None:
            kept = source[frames : frames + 2 * delay]
            source[: 2 * delay] = kept if frames >= 2 * delay else kept.clone()

        for_each(activate, divided(slice(0, 2 * delay + frames)))
        if needed.start < needed.stop:
            for_each(convolve, divided(needed))
        for_each(keep, self._inputs)

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
