"""Short-time Fourier transform with an exact inverse."""

import torch
from torch import Tensor


def stft(signal: Tensor, window: Tensor, hop: int) -> Tensor:
    """Spectra of windowed frames, the first centred on sample 0.

    Args:
        signal: (..., samples).
        window: (length,) analysis window.
        hop: samples from one frame to the next.

    Returns:
        complex (..., length // 2 + 1, frames), frames = 1 + samples // hop.
    """
    # Constant padding, since a reflection needs more samples than a short signal has.
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
    """Inverse of :func:`stft`: windowed overlap-add divided by the summed squared window.

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
