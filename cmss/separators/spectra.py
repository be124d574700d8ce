"""Transforms that convert the signals of separators and steps to spectra and back to signals."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.transforms.stft import istft, stft

WINDOW = 8192
"""Window in samples, 186 ms at 44.1 kHz: longer than the delay of a room's early reflections."""

OnSpectra = Callable[[Tensor, Tensor], Tensor]
"""Complex mixture (2, F, K) and estimates (N, 2, F, K), which it may overwrite -> (S, 2, F, K)."""


def spectra_of(signals: Sequence[NDArray[np.float32]], window: int) -> Tensor:
    """Compute the STFT with a Hann window; the hop is a quarter of the window.

    Signals are padded with `window` zeros on either side. Without padding, only the end of a
    single window would cover the last samples. The window is near zero there, and the inverse STFT
    would divide by it.

    Args:
        signals: sequence of N stereo signals, (2, samples) each.
        window: length of the window in samples.

    Returns:
        The spectra, complex (N, 2, F, K). The bins of a frame are contiguous in memory.
    """
    hann, hop = torch.hann_window(window), window // 4
    spectra = None
    # One channel at a time: an STFT needs several times the memory of its result.
    for number, signal in enumerate(signals):
        for channel, samples in enumerate(torch.from_numpy(np.ascontiguousarray(signal))):
            transformed = stft(torch.nn.functional.pad(samples, (window, window)), hann, hop)
            if spectra is None:
                bins, frames = transformed.shape
                spectra = transformed.new_empty(len(signals), 2, frames, bins).mT
            spectra[number, channel] = transformed
    assert spectra is not None
    return spectra


def signals_of(spectra: Tensor, window: int, samples: int) -> NDArray[np.float32]:
    """Invert :func:`spectra_of`: complex (N, 2, F, K) -> (N, 2, samples)."""
    hann, hop = torch.hann_window(window), window // 4
    signals = np.empty((len(spectra), 2, samples), np.float32)
    for spectrum, signal in zip(spectra.flatten(0, 1), signals.reshape(-1, samples), strict=True):
        signal[:] = istft(spectrum, hann, hop, samples + 2 * window)[window:-window].numpy()
    return signals


def on_spectra(
    function: OnSpectra,
    mixture: NDArray[np.float32],
    estimates: Sequence[NDArray[np.float32]],
    window: int,
) -> NDArray[np.float32]:
    """Apply a function to the spectra of a mixture (2, samples) and of N estimates (2, samples).

    Returns:
        (S, 2, samples).
    """
    (X,) = spectra_of([mixture], window)
    with torch.inference_mode():
        changed = function(X, spectra_of(estimates, window))
    return signals_of(changed, window, mixture.shape[-1])
