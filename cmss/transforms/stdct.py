"""Computes the short-time discrete cosine transform and its exact inverse.

Windowed frames are transformed by an orthonormal DCT-II. The number of real coefficients equals the
number of samples in a frame. The coefficients carry the information of both magnitude and phase of
the STFT (Sgouros, Bousis and Mitianoudis 2022, IEEE Access 10, section 2.1.2). Frames have the same
positions as in `cmss.transforms.stft`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cmss.transforms.frames import sum_frames


def stdct(signal: Tensor, window: Tensor, hop: int) -> Tensor:
    """Compute the coefficients of windowed frames; the first frame is centred on sample 0.

    Args:
        signal: the signal, an array of shape (..., samples).
        window: analysis window, an array of shape (length,). Use the periodic Hamming window
            ``torch.hamming_window(length)``. Copies of the periodic Hamming window that are shifted
            by length / n (integer n >= 2) sum to a constant, whereas copies of the symmetric
            Hamming window do not. The window is never close to zero, so the inverse does not divide
            by small numbers, even at the ends of the signal.
        hop: number of samples between the starts of consecutive frames, at most half the length.

    Returns:
        The coefficients, an array of shape (..., length, frames). For an even length, the number of
        frames is 1 + samples // hop.

    Raises:
        ValueError: the hop is less than 1 or more than half the length.
    """
    _check(window, hop)
    half = len(window) // 2
    # (..., frames, length), the transform is over the last axis
    frames = F.pad(signal, (half, half)).unfold(-1, len(window), hop)
    return dct(frames * window).mT


def istdct(coefficients: Tensor, window: Tensor, hop: int, samples: int) -> Tensor:
    """Invert :func:`stdct` by windowed overlap-add and division by the sum of squared windows.

    If no signal has the given coefficients, the result is the signal whose coefficients are nearest
    to the given coefficients in the least-squares sense (Griffin and Lim 1984, section II).

    Args:
        coefficients: the coefficients, an array of shape (..., length, frames).
        window: the analysis window, an array of shape (length,).
        hop: number of samples between the starts of consecutive frames, at most half the length.
        samples: length of the signal in samples.

    Returns:
        The signal, an array of shape (..., samples).
    """
    _check(window, hop)
    frames = idct(coefficients.mT) * window  # (..., frames, length)
    weight = window.square().expand(1, frames.shape[-2], -1)  # (1, frames, length)
    start = len(window) // 2
    flat = frames.reshape(-1, *frames.shape[-2:])  # (batch, frames, length)
    signal, total = (sum_frames(x, hop)[:, start : start + samples] for x in (flat, weight))
    return (signal / total).view(*frames.shape[:-2], samples)


def dct(x: Tensor) -> Tensor:
    """Compute the orthonormal DCT-II of the last axis with an FFT of twice the length.

    X[k] = s[k] sum_n x[n] cos(pi k (2 n + 1) / (2 N)), where s[0] = sqrt(1/N) and s[k] = sqrt(2/N)
    for k > 0. X[k] is s[k] times the real part of exp(-i pi k / (2 N)) FFT(x, 2 N)[k].
    """
    size = x.shape[-1]
    spectrum = torch.fft.rfft(x, 2 * size)[..., :size]
    return (spectrum * _half_sample_shift(x).conj()).real * _scale(x)


def idct(X: Tensor) -> Tensor:
    """Invert :func:`dct` on the last axis; the inverse is the transpose."""
    size = X.shape[-1]
    # irfft counts each bin and its mirror image. The first bin has no mirror image, so it is
    # doubled.
    weight = _scale(X) * size
    weight[0] *= 2
    return torch.fft.irfft(X * weight * _half_sample_shift(X), 2 * size)[..., :size]


def _half_sample_shift(like: Tensor) -> Tensor:
    """Return exp(i pi k / (2 N)) for k = 0, ..., N - 1, where N is the length of the last axis."""
    size = like.shape[-1]
    # In single precision, the angles of high bins would not be exact enough. The angles are
    # computed on the processor, because mps devices have no double precision.
    angle = torch.arange(size, dtype=torch.float64) * (math.pi / (2 * size))
    shift = torch.polar(torch.ones_like(angle), angle).to(like.dtype.to_complex())
    return shift.to(like.device)


def _scale(like: Tensor) -> Tensor:
    """Return the scale s[k] of :func:`dct`, which makes the basis of the transform orthonormal."""
    size = like.shape[-1]
    scale = like.new_full((size,), math.sqrt(2 / size))
    scale[0] = math.sqrt(1 / size)
    return scale


def _check(window: Tensor, hop: int) -> None:
    if not 1 <= hop <= len(window) // 2:
        raise ValueError(f"hop: expected 1 to {len(window) // 2} (half of the window), got {hop}")
