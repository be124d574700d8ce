"""Short-time Fourier transform with an exact inverse."""

import torch
from torch import Tensor


def stft(signal: Tensor, window: Tensor, hop: int) -> Tensor:
    """Compute the spectra of windowed frames, the first centred on sample 0.

    Args:
        signal: (..., samples).
        window: (length,) analysis window.
        hop: samples from one frame to the next.

    Returns:
        complex (..., length // 2 + 1, frames), frames = 1 + samples // hop.
    """
    # Zero padding, because reflection needs more samples than a short signal has.
    spectra = torch.stft(
        signal.reshape(-1, signal.shape[-1]),
        len(window),
        hop,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    return spectra.view(*signal.shape[:-1], *spectra.shape[-2:])


def istft(spectra: Tensor, window: Tensor, hop: int, samples: int) -> Tensor:
    """Invert :func:`stft` by windowed overlap-add, divided by the sum of squared windows.

    Args:
        spectra: complex (..., length // 2 + 1, frames).
        window: (length,) the analysis window.
        hop: samples from one frame to the next.
        samples: length of the signal.

    Returns:
        (..., samples).
    """
    flat = spectra.reshape(-1, *spectra.shape[-2:])
    signal = torch.istft(flat, len(window), hop, window=window, length=samples)
    return signal.view(*spectra.shape[:-2], samples)
