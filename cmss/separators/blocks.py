"""Separation of long recordings in blocks."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.machine.memory import give_back_memory, large_array, release
from cmss.scenes import Source
from cmss.separators.protocol import Around, Stems

BLOCK_S, CROSS_FADE_S = 30.0, 1.0
"""Greatest length of a block, and length of the cross-fade between blocks. Blocks limit the memory
that is needed. They also allow players to move, because a step estimates the statistics of each
block separately."""


@dataclass
class InBlocks(Around):
    """Separates a long recording block by block, with cross-fades.

    A recording of at most :data:`BLOCK_S` is separated at once. The stems of a very long recording
    are kept on disk (:func:`cmss.machine.memory.large_array`).

    Args:
        separator: separator that is applied to each block.
        report: function that is called after each block, with the number of samples in the block.
    """

    report: Callable[[int], object] | None = None

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`cmss.separators.protocol.Separator`."""
        samples = mixture.shape[-1]
        block, cross_fade = (round(s * self.sample_rate_hz) for s in (BLOCK_S, CROSS_FADE_S))
        stems: Stems = {}
        for part in blocks(samples, block, cross_fade):
            of_block = self.separator.separate(mixture[:, part], sources)
            give_back_memory()
            if self.report:
                self.report(part.stop - part.start)
            if part == slice(0, samples):
                return of_block
            gain = _fades(part, samples, cross_fade)
            for key, stem in of_block.items():
                if key not in stems:
                    stems[key] = large_array((2, samples), len(sources))
                stems[key][:, part] += stem * gain
                release(stems[key])
        return stems


def blocks(samples: int, longest: int, overlap: int) -> Iterator[slice]:
    """Yield as few overlapping blocks as possible; all but the last have the same length.

    Args:
        samples: number of samples in the recording.
        longest: greatest number of samples in a block.
        overlap: number of samples shared by successive blocks, less than `longest`.
    """
    count = max(math.ceil((samples - overlap) / (longest - overlap)), 1)
    hop = math.ceil((samples - overlap) / count)
    for number in range(count):
        yield slice(number * hop, min(number * hop + hop + overlap, samples))


def _fades(part: slice, samples: int, overlap: int) -> NDArray[np.float32]:
    """Return the gain of a block: ramps where it overlaps its neighbours, 1 elsewhere."""
    gain = np.ones(part.stop - part.start, np.float32)
    ramp = np.arange(1, overlap + 1, dtype=np.float32) / (overlap + 1)
    if part.start > 0:
        gain[:overlap] = ramp
    if part.stop < samples:
        gain[len(gain) - overlap :] = 1 - ramp
    return gain
