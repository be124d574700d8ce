"""Converts signals to spectra, and spectra to signals."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.machine.threads import for_each
from cmss.transforms.stft import istft, stft

WINDOW = 8192
"""Length of the window in samples.

At 44.1 kHz, the window lasts 186 ms, which is longer than the delay of a room's early reflections.
"""

OnSpectra = Callable[[Tensor, Tensor], Tensor]
"""Type of a function that returns new spectra, a complex array of shape (S, 2, F, K).

The arguments of the function are the spectra of the mixture (2, F, K) and the spectra of the
estimates (N, 2, F, K). The function may overwrite the spectra of the estimates.
"""


def spectra_of(signals: Sequence[NDArray[np.float32]], window: int) -> Tensor:
    """Compute the STFT with a Hann window; the hop is a quarter of the window.

    Each signal is padded with `window` zeros at both ends. Without padding, the last samples would
    lie under the end of only one window, where the window is near zero. The inverse STFT would then
    divide by values near zero.

    Args:
        signals: sequence of N stereo signals, arrays of shape (2, samples).
        window: length of the window in samples.

    Returns:
        The spectra, a complex array of shape (N, 2, F, K). The bins of a frame are contiguous in
        memory.
    """
    hann, hop = torch.hann_window(window), window // 4
    bins, frames = window // 2 + 1, 1 + (signals[0].shape[-1] + 2 * window) // hop
    spectra = torch.empty(len(signals), 2, frames, bins, dtype=torch.complex64).mT

    # The channels are transformed separately, because an STFT needs several times the memory of its
    # result.
    def transform(number: int) -> None:
        samples = torch.from_numpy(np.ascontiguousarray(signals[number // 2][number % 2]))
        padded = torch.nn.functional.pad(samples, (window, window))
        spectra[number // 2, number % 2] = stft(padded, hann, hop)

    for_each(transform, range(2 * len(signals)))
    return spectra


def signals_of(spectra: Tensor, window: int, samples: int) -> NDArray[np.float32]:
    """Invert :func:`spectra_of`: transform spectra (N, 2, F, K) to signals (N, 2, samples)."""
    hann, hop = torch.hann_window(window), window // 4
    signals = np.empty((len(spectra), 2, samples), np.float32)

    def invert(number: int) -> None:
        signal = istft(spectra[number // 2, number % 2], hann, hop, samples + 2 * window)
        signals[number // 2, number % 2] = signal[window:-window].numpy()

    for_each(invert, range(2 * len(spectra)))
    return signals


def on_spectra(
    function: OnSpectra,
    mixture: NDArray[np.float32],
    estimates: Sequence[NDArray[np.float32]],
    window: int,
) -> NDArray[np.float32]:
    """Apply a function to the spectra of a mixture (2, samples) and of N estimates (2, samples).

    Returns:
        The inverse STFT of the result of `function`, an array of shape (S, 2, samples).
    """
    (X,) = spectra_of([mixture], window)
    with torch.inference_mode():
        changed = function(X, spectra_of(estimates, window))
    return signals_of(changed, window, mixture.shape[-1])
