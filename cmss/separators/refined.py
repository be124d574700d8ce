"""A step after any separator that works on the spectra of mixture and estimates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.scenes import Source
from cmss.separators.protocol import Around, Stems
from cmss.transforms.overlap_add import overlap_add
from cmss.transforms.stft import istft, stft

SEGMENT_S = 30.0
"""Longer signals are refined in segments: memory does not grow with them, and players may move."""

Step = Callable[[Tensor, Tensor], Tensor]
"""Complex mixture (2, bins, frames) and estimates (N, 2, bins, frames) -> new estimates."""


@dataclass
class Refined(Around):
    """Refines the estimates of a separator; those that it has of nothing stay nothing.

    Args:
        separator: what estimates.
        step: what refines.
        window: samples of the Hann window of its spectra.
    """

    step: Step
    window: int

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`."""
        stems = self.separator.separate(mixture, sources)
        return refine(self.step, mixture, stems, self.sample_rate_hz, self.window)


def refine(
    step: Step, mixture: NDArray[np.float32], stems: Stems, sample_rate_hz: int, window: int
) -> Stems:
    """Estimates (2, samples) of a mixture (2, samples) after a step; none are left alone."""
    if not stems:
        return stems
    refined = on_spectra(step, mixture, list(stems.values()), sample_rate_hz, window)
    return dict(zip(stems, refined, strict=True))


def on_spectra(
    step: Step,
    mixture: NDArray[np.float32],
    estimates: Sequence[NDArray[np.float32]],
    sample_rate_hz: int,
    window: int,
) -> NDArray[np.float32]:
    """What a step makes of a mixture and estimates, (2, samples) each: (sources, 2, samples)."""
    signals = torch.from_numpy(np.concatenate([mixture, *estimates]))
    segment = round(SEGMENT_S * sample_rate_hz)
    return overlap_add(
        lambda piece: _on_spectra(step, piece, window), signals, segment, segment // 10
    ).numpy()


def _on_spectra(step: Step, signals: Tensor, window: int) -> Tensor:
    """(1, 2 (1 + estimates), samples), the mixture first -> (sources, 2, samples)."""
    samples, hop = signals.shape[-1], window // 4
    hann = torch.hann_window(window, dtype=signals.dtype)
    # Else the last samples would lie under the tail of one window alone, which is near zero.
    padded = torch.nn.functional.pad(signals.view(-1, 2, samples), (window, window))
    mixture, *estimates = stft(padded, hann, hop)
    refined = step(mixture, torch.stack(estimates))
    return istft(refined, hann, hop, samples + 2 * window)[..., window:-window]
