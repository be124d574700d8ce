"""Application of functions of spectra to a mixture and estimates of its sources."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.transforms.overlap_add import Function, overlap_add
from cmss.transforms.stft import istft, stft

WINDOW = 8192
"""Window in samples, 186 ms at 44.1 kHz: longer than the delay of a room's early reflections."""

BLOCK_S, CROSS_FADE_S = 30.0, 3.0
"""Length of the blocks in which long recordings are processed, and of the cross-fade between them.
Blocks limit memory, and allow players to move."""

OnSpectra = Callable[[Tensor, Tensor], Tensor]
"""Complex mixture (2, F, K) and estimates (N, 2, F, K) -> complex (S, 2, F, K)."""


def in_blocks(function: Function, signals: Tensor, sample_rate_hz: int) -> Tensor:
    """Apply a function to a recording of any length, block by block.

    Args:
        function: maps (1, channels, samples) to (sources, channels, samples).
        signals: (channels, samples).
        sample_rate_hz: of the signals.

    Returns:
        (sources, channels, samples).
    """
    block, cross_fade = round(BLOCK_S * sample_rate_hz), round(CROSS_FADE_S * sample_rate_hz)
    return overlap_add(function, signals, block, cross_fade)


def on_spectra(
    function: OnSpectra,
    mixture: NDArray[np.float32],
    estimates: Sequence[NDArray[np.float32]],
    sample_rate_hz: int,
    window: int,
) -> NDArray[np.float32]:
    """Apply a function to the spectra of a mixture and of N estimates.

    Args:
        function: its first argument is the mixture.
        mixture: (2, samples).
        estimates: (2, samples) each.
        sample_rate_hz: of the signals.
        window: length of the Hann window in samples; the hop is a quarter of it.

    Returns:
        (S, 2, samples).
    """

    def block(signals: Tensor) -> Tensor:
        samples, hop = signals.shape[-1], window // 4
        hann = torch.hann_window(window, dtype=signals.dtype)
        # Without padding, only the tail of one window, which is near zero, would cover the last
        # samples, and the inverse would divide by it.
        padded = torch.nn.functional.pad(signals.view(-1, 2, samples), (window, window))
        spectrum, *others = stft(padded, hann, hop)
        changed = function(spectrum, torch.stack(others))
        return istft(changed, hann, hop, samples + 2 * window)[..., window:-window]

    signals = torch.from_numpy(np.concatenate([mixture, *estimates]))
    return in_blocks(block, signals, sample_rate_hz).numpy()
