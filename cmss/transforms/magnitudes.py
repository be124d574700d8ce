"""Magnitudes of the short-time Fourier transform, with a gradient written for them."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from cmss.transforms.frames import sum_frames


def stft_magnitudes(signal: Tensor, window: Tensor, hop: int, floor: Tensor) -> Tensor:
    """sqrt(|X|^2 + floor), X that of :func:`cmss.transforms.stft.stft`, frame by frame.

    A loss on spectra spends most of its time here. Of that, what automatic differentiation would
    record takes half: a full complex transform back, and passes over parts that lie apart.

    Args:
        signal: (..., samples), real.
        window: (length,) analysis window, even length.
        hop: samples from one frame to the next.
        floor: above zero, which keeps the root's gradient finite in silence; gets no gradient.

    Returns:
        (..., frames, length // 2 + 1), frames = 1 + samples // hop.
    """
    return _Magnitudes.apply(signal, window, hop, floor)


class _Magnitudes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signal: Tensor, window: Tensor, hop: int, floor: Tensor) -> Tensor:
        half = len(window) // 2
        frames = F.pad(signal, (half, half)).unfold(-1, 2 * half, hop)
        spectra = torch.fft.rfft(frames * window)
        real, imaginary = torch.view_as_real(spectra).unbind(-1)
        size = torch.addcmul(real.square().add_(floor), imaginary, imaginary).sqrt_()
        ctx.save_for_backward(spectra, size, window)
        ctx.hop, ctx.samples = hop, signal.shape[-1]
        return size

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        spectra, size, window = ctx.saved_tensors
        weight = gradient / size
        # The inverse transform counts all bins but the first and last twice.
        weight[..., 1:-1] /= 2
        # As real numbers, or the weights would be made complex first.
        weighted = torch.view_as_complex(torch.view_as_real(spectra) * weight.unsqueeze(-1))
        frames = torch.fft.irfft(weighted, len(window), norm="forward").mul_(window)
        start = len(window) // 2
        # Of samples behind the last whole frame nothing was seen.
        sums = F.pad(sum_frames(frames, ctx.hop), (0, ctx.samples))
        return sums[..., start : start + ctx.samples], None, None, None
