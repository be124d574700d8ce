"""Divides the frames of a recording into tiles that fit into the caches of a processor.

A tile is a group of consecutive frames. If an element-wise operation processes the spectra of a
full recording, the speed of the main memory limits the speed of the operation. The main memory is
several times slower than the caches. Therefore, element-wise operations process one tile after
another.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

TILE_FRAMES = 24
"""Number of frames in a tile; for windows of 8192 samples at 44.1 kHz, a tile lasts 1.1 s."""


def tiles(frames: int | slice, length: int = TILE_FRAMES) -> Iterator[slice]:
    """Yield a slice for each tile of some frames, or of a recording with `frames` frames.

    Each tile has `length` frames, but the last tile may be shorter.
    """
    frames = slice(0, frames) if isinstance(frames, int) else frames
    for start in range(frames.start, frames.stop, length):
        yield slice(start, min(start + length, frames.stop))


def divided(frames: slice) -> list[slice]:
    """Divide frames into slices of equal length, one slice for each thread of PyTorch."""
    count = frames.stop - frames.start
    threads = max(min(torch.get_num_threads(), count), 1)
    edges = [frames.start + count * number // threads for number in range(threads + 1)]
    return [*map(slice, edges, edges[1:])]


def power(spectra: Tensor) -> Tensor:
    """Return the squared magnitudes of complex spectra."""
    # abs() of complex numbers would be five times slower, because it guards against overflow.
    return spectra.real.square().addcmul_(spectra.imag, spectra.imag)


def channels_power(spectra: Tensor) -> Tensor:
    """Sum the powers of the two channels: spectra (..., 2, F, K) become powers (..., F, K)."""
    left, right = spectra.unbind(-3)
    total = left.real.square()
    for part in (left.imag, right.real, right.imag):
        total = torch.addcmul(total, part, part)
    return total
