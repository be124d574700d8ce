"""Computes the short-time Fourier transform and its exact inverse."""

import torch
from torch import Tensor


def stft(signal: Tensor, window: Tensor, hop: int) -> Tensor:
    """Compute the spectra of windowed frames; the first frame is centred on sample 0.

    Args:
        signal: the signal, an array of shape (..., samples).
        window: analysis window, an array of shape (length,).
        hop: number of samples between the starts of consecutive frames.

    Returns:
        The spectra, a complex array of shape (..., length // 2 + 1, 1 + samples // hop).
    """
    # The signal is padded with zeros, because reflection needs more samples than a short signal
    # has.
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
    """Invert :func:`stft` by windowed overlap-add and division by the sum of squared windows.

    Args:
        spectra: the spectra, a complex array of shape (..., length // 2 + 1, frames).
        window: the analysis window, an array of shape (length,).
        hop: number of samples between the starts of consecutive frames.
        samples: length of the signal in samples.

    Returns:
        The signal, an array of shape (..., samples).
    """
    # torch.istft takes two to three times as long, because it scatters the samples of each frame.
    length, frames = len(window), spectra.shape[-1]
    signals = torch.fft.irfft(spectra.mT, length)  # (..., frames, length)
    parts = -(-length // hop)  # number of parts of a frame; the last part may be shorter than `hop`
    total = signals.new_zeros(*signals.shape[:-2], frames + parts - 1, hop)
    weight = window.new_zeros(frames + parts - 1, hop)
    for part in range(parts):
        rows, inside = slice(part, part + frames), slice(part * hop, (part + 1) * hop)
        factor = window[inside]
        total[..., rows, : len(factor)].addcmul_(signals[..., inside], factor)
        weight[rows, : len(factor)] += factor.square()
    kept = slice(length // 2, length // 2 + samples)
    return total.flatten(-2)[..., kept] / weight.flatten()[kept]
