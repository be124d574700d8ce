"""A step after any separator that works on the spectra of mixture and estimates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.scenes import Source
from cmss.separators.protocol import Around, Stems
from cmss.transforms.overlap_add import overlap_add
from cmss.transforms.stft import istft, stft

WINDOW, HOP = 4096, 1024
"""Samples, of a Hann window: 93 ms at 44.1 kHz, as Open-Unmix has it (Stoeter et al. 2019)."""

SEGMENT_S = 30.0
"""Longer signals are refined in segments: memory does not grow with them, and players may move."""

Step = Callable[[Tensor, Tensor], Tensor]
"""Complex mixture (2, bins, frames) and estimates (sources, 2, bins, frames) -> new estimates."""


@dataclass
class Refined(Around):
    """Refines the estimates of a separator; those that it has of nothing stay nothing.

    Args:
        separator: what estimates.
        step: what refines.
    """

    step: Step

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`."""
        stems = self.separator.separate(mixture, sources)
        return refine(self.step, mixture, stems, self.sample_rate_hz)


def refine(step: Step, mixture: NDArray[np.float32], stems: Stems, sample_rate_hz: int) -> Stems:
    """Estimates (2, samples) of a mixture (2, samples) after a step; none are left alone."""
    if not stems:
        return stems
    signals = torch.from_numpy(np.concatenate([mixture, *stems.values()]))
    segment = round(SEGMENT_S * sample_rate_hz)
    refined = overlap_add(lambda piece: _refine(step, piece), signals, segment, segment // 10)
    return dict(zip(stems, refined.numpy(), strict=True))


def _refine(step: Step, signals: Tensor) -> Tensor:
    """(1, 2 (1 + sources), samples), the mixture first -> (sources, 2, samples)."""
    samples = signals.shape[-1]
    window = torch.hann_window(WINDOW, dtype=signals.dtype)
    # Else the last samples would lie under the tail of one window alone, which is near zero.
    padded = torch.nn.functional.pad(signals.view(-1, 2, samples), (WINDOW, WINDOW))
    mixture, *estimates = stft(padded, window, HOP)
    refined = step(mixture, torch.stack(estimates))
    return istft(refined, window, HOP, samples + 2 * WINDOW)[..., WINDOW:-WINDOW]
