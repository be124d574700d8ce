"""Separates long recordings in blocks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.machine.memory import give_back_memory, large_array, release
from cmss.scenes import Source
from cmss.separators.protocol import Around, Stems
from cmss.transforms.overlap_add import cross_fade, segments

BLOCK_S, CROSS_FADE_S = 30.0, 1.0
"""Greatest length of a block and length of the cross-fade between two blocks, in seconds.

Blocks limit the memory that a step needs. Blocks also allow players to move during the recording,
because a step estimates the statistics of each block separately.
"""


@dataclass
class InBlocks(Around):
    """Separates a long recording block by block, with a cross-fade between consecutive blocks.

    A recording of at most :data:`BLOCK_S` seconds is a single block. The stems of a very long
    recording are kept on disk (:func:`cmss.machine.memory.large_array`).

    Args:
        separator: separator that is applied to each block.
        report: function that is called after each block with the number of samples in the block.
    """

    report: Callable[[int], object] | None = None

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`cmss.separators.protocol.Separator`."""
        samples = mixture.shape[-1]
        block, overlap = (round(s * self.sample_rate_hz) for s in (BLOCK_S, CROSS_FADE_S))
        stems: Stems = {}
        parts = segments(samples, block, overlap)
        for number, part in enumerate(parts):
            of_block = self.separator.separate(mixture[:, part], sources)
            release(mixture)
            give_back_memory()
            if self.report:
                self.report(part.stop - part.start)
            if len(parts) == 1:
                return of_block
            gain = cross_fade(parts, number, overlap).numpy().astype(np.float32)
            for key, stem in of_block.items():
                if key not in stems:
                    stems[key] = large_array((2, samples), len(sources))
                stems[key][:, part] += stem * gain
                release(stems[key])
        return stems
