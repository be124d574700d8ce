"""Magnitudes of the short-time Fourier transform, with a gradient written for them."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


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
        length, count = len(window), gradient.shape[-2]
        weight = gradient / size
        # The inverse transform counts all bins but the first and last twice.
        weight[..., 1:-1] /= 2
        frames = torch.fft.irfft(spectra * weight, length, norm="forward") * window
        reach = (count - 1) * ctx.hop + length
        columns = frames.view(-1, count, length).mT
        sums = F.fold(columns, (1, reach), (1, length), stride=(1, ctx.hop))
        # Of samples behind the last whole frame nothing was seen.
        sums = F.pad(sums, (0, max(0, ctx.samples + length - reach)))
        start = length // 2
        inner = sums[..., start : start + ctx.samples]
        return inner.reshape(*gradient.shape[:-2], ctx.samples), None, None, None
