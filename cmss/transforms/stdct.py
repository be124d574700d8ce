"""Short-time discrete cosine transform with an exact inverse.

Frames under a window, then an orthonormal DCT-II of each: real coefficients, as many as a frame has
samples, that hold what the STFT has as magnitude and phase (section 2.1.2 of the paper; Sgouros,
Bousis and Mitianoudis 2022, IEEE Access 10). Frames lie as those of `cmss.transforms.stft`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cmss.transforms.frames import sum_frames


def stdct(signal: Tensor, window: Tensor, hop: int) -> Tensor:
    """Coefficients of windowed frames, the first centred on sample 0.

    Args:
        signal: (..., samples).
        window: (length,) analysis window. Take the periodic Hamming window,
            ``torch.hamming_window(length)``: shifted by any whole fraction of its length it sums
            to a constant, which the symmetric one, one sample longer in period, misses. Neither
            comes near zero, so the inverse divides by nothing small even at the ends.
        hop: samples from one frame to the next, at most half the length.

    Returns:
        (..., length, frames), frames = 1 + samples // hop for an even length.
    """
    _check(window, hop)
    half = len(window) // 2
    frames = F.pad(signal, (half, half)).unfold(-1, len(window), hop)
    return dct(frames * window).mT


def istdct(coefficients: Tensor, window: Tensor, hop: int, samples: int) -> Tensor:
    """Inverse of :func:`stdct`: windowed overlap-add divided by the summed squared window.

    For coefficients that no signal has, the signal whose coefficients are nearest to them (Griffin
    and Lim 1984, section II).

    Args:
        coefficients: (..., length, frames).
        window: (length,) the analysis window.
        hop: samples from one frame to the next, at most half the length.
        samples: length of the signal.

    Returns:
        (..., samples).
    """
    _check(window, hop)
    frames = idct(coefficients.mT) * window
    weight = window.square().expand(1, frames.shape[-2], -1)
    start = len(window) // 2
    flat = frames.reshape(-1, *frames.shape[-2:])
    signal, total = (sum_frames(x, hop)[:, start : start + samples] for x in (flat, weight))
    return (signal / total).view(*frames.shape[:-2], samples)


def dct(x: Tensor) -> Tensor:
    """Orthonormal DCT-II of the last axis, by a Fourier transform padded to twice the length.

    X[k] = s[k] sum_n x[n] cos(pi k (2 n + 1) / (2 N)), s[0] = sqrt(1/N), else sqrt(2/N): the real
    part of exp(-i pi k / (2 N)) times the padded transform at k.
    """
    size = x.shape[-1]
    spectrum = torch.fft.rfft(x, 2 * size)[..., :size]
    return (spectrum * _half_sample_shift(x).conj()).real * _scale(x)


def idct(X: Tensor) -> Tensor:
    """Inverse of :func:`dct`, which is its transpose, on the last axis."""
    size = X.shape[-1]
    # A real inverse transform counts each bin and its mirror, and the first, which has none, once.
    weight = _scale(X) * size
    weight[0] *= 2
    return torch.fft.irfft(X * weight * _half_sample_shift(X), 2 * size)[..., :size]


def _half_sample_shift(like: Tensor) -> Tensor:
    """(N,) exp(i pi k / (2 N)); N, device and precision of `like`."""
    size = like.shape[-1]
    angle = torch.arange(size, dtype=torch.float64, device=like.device) * (math.pi / (2 * size))
    return torch.polar(torch.ones_like(angle), angle).to(like.dtype.to_complex())


def _scale(like: Tensor) -> Tensor:
    """(N,) what makes the cosines of a DCT-II a basis of unit vectors."""
    size = like.shape[-1]
    scale = like.new_full((size,), math.sqrt(2 / size))
    scale[0] = math.sqrt(1 / size)
    return scale


def _check(window: Tensor, hop: int) -> None:
    if not 1 <= hop <= len(window) // 2:
        raise ValueError(f"hop must be 1 to half the window, {len(window) // 2}, not {hop}")
