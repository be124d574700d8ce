"""Computes magnitudes of the short-time Fourier transform with a hand-written gradient."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from cmss.transforms.frames import sum_frames


def stft_magnitudes(signal: Tensor, window: Tensor, hop: int, floor: Tensor) -> Tensor:
    """Compute sqrt(|X|^2 + floor), where X is the result of :func:`cmss.transforms.stft.stft`.

    Losses on spectra spend most of their time in this function. With the hand-written gradient, the
    function is twice as fast as with automatic differentiation. Automatic differentiation computes
    a full complex inverse transform, and processes real and imaginary parts separately.

    Args:
        signal: the signal, a real array of shape (..., samples).
        window: analysis window of even length, an array of shape (length,).
        hop: number of samples between the starts of consecutive frames.
        floor: positive constant that keeps the gradient of the square root finite in silence. The
            gradient with respect to `floor` is not computed.

    Returns:
        The magnitudes, an array of shape (..., 1 + samples // hop, length // 2 + 1).
    """
    return _Magnitudes.apply(signal, window, hop, floor)


class _Magnitudes(torch.autograd.Function):
    """Computes magnitudes (..., frames, bins) of a signal (..., samples) and their gradient."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, window: Tensor, hop: int, floor: Tensor) -> Tensor:
        half = len(window) // 2
        frames = F.pad(signal, (half, half)).unfold(-1, 2 * half, hop)  # (..., frames, length)
        spectra = torch.fft.rfft(frames * window)  # (..., frames, bins)
        real, imaginary = torch.view_as_real(spectra).unbind(-1)
        size = torch.addcmul(real.square().add_(floor), imaginary, imaginary).sqrt_()
        ctx.save_for_backward(spectra, size, window)
        ctx.hop, ctx.samples = hop, signal.shape[-1]
        return size

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        spectra, size, window = ctx.saved_tensors
        # d size / d X = X / size, so the gradient of the spectra is X * gradient / size.
        weight = gradient / size
        # irfft counts each bin and its mirror image, except the first and the last bin.
        weight[..., 1:-1] /= 2
        # The product is real, because a complex product would first convert the weights.
        weighted = torch.view_as_complex(torch.view_as_real(spectra) * weight.unsqueeze(-1))
        frames = torch.fft.irfft(weighted, len(window), norm="forward").mul_(window)
        start = len(window) // 2
        # Samples after the last full frame do not affect the magnitudes, so their gradient is zero.
        sums = F.pad(sum_frames(frames, ctx.hop), (0, ctx.samples))
        return sums[..., start : start + ctx.samples], None, None, None
