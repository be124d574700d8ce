"""Implements HAAQI as a differentiable loss for batches of ears on a CPU or GPU.

    aided = amplified(remix, hearing_aid, compressions)  # torch_hearing_aid
    processed = at_model_rate(aided, 44100)              # torch_ear
    score = torch_haaqi(processed, reference, levels_db, level1).score
    (1 - score.mean()).backward()

In single precision, the median difference between the result and the exact index is 3e-4. The
difference to the exact index is less than 1e-3 if both signals are audible throughout. Both
differences to the exact index were measured on 5 s of music by `python -m benchmarks.torch_haaqi
--all`. The difference to the exact index has two reasons: the noise and the length of the signals.

The noise that represents the hearing threshold is added only if the argument `noise` is given. With
the noise of the exact index and in double precision, the difference to the exact index is less than
1e-7. Without noise, a segment of a band counts as uncorrelated if the processed signal is inaudible
in this segment. In the exact index, the noise in an inaudible segment has a correlation of 0.1 with
the reference by chance. Therefore, the score of an ear with a silent signal is 0.01 lower than the
exact index. The power of the noise is always added in the normalisation, so that gradients are
finite in inaudible segments.

The exact index removes the inaudible start and end of the signals. In the differentiable index, the
signals of all ears keep their length, and the samples after the audible segment are zero.

Delays, lags, audible bands and audible segments are determined without gradients. All other steps
of the computation are differentiable, including the bandwidths of the filters. If the processed
signal is inaudible, the gradient with respect to this signal is zero. In single precision, the
forward and backward pass require about 0.5 GB of memory for each ear and each second of signal.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import conv1d

from cmss.hearing.differentiable import torch_ear
from cmss.hearing.haaqi.cepstral import CEPSTRAL_BASIS, MODULATION_FILTERS, SMOOTHING
from cmss.hearing.haaqi.cepstral import WINDOW as SMOOTHING_WINDOW
from cmss.hearing.haaqi.ear_model import SILENCE_DB
from cmss.hearing.haaqi.filterbank import BANDS
from cmss.hearing.haaqi.index import regression
from cmss.hearing.haaqi.kernels import TINY
from cmss.hearing.haaqi.synchrony import (
    FULL_WEIGHTS,
    HALF_WEIGHTS,
    MAX_LAG,
    SEGMENT,
    WINDOW,
    segment_count,
    synchronisation_weights,
)


class TorchHaaqi(NamedTuple):
    """Holds HAAQI and its components, arrays of shape (ears,); see `cmss.hearing.haaqi.Haaqi`."""

    score: Tensor
    nonlinear: Tensor
    linear: Tensor
    cepstral_correlation: Tensor
    bm_synchrony: Tensor
    d_loud: Tensor
    d_norm: Tensor


def torch_haaqi(
    processed: Tensor,
    reference: Tensor,
    levels_db: ArrayLike,
    level1: ArrayLike | Tensor,
    noise: tuple[Tensor, Tensor] | None = None,
) -> TorchHaaqi:
    """Compute HAAQI of a batch of ears, differentiable with respect to both signals.

    Args:
        processed: processed signal of each ear at 24 kHz, an array of shape (ears, samples).
        reference: reference of each ear at 24 kHz, an array of shape (ears, samples). The reference
            is already amplified for the ear (`equalisation=2`).
        levels_db: hearing levels of each ear, an array of shape (ears, 6) or (6,), see
            `filterbank.audiometric_levels_db`.
        level1: level in dB SPL of a signal whose root mean square is 1, an array of shape (ears,)
            or a number.
        noise: standard normal deviates for the noise in the reference and in the processed signal,
            two arrays of shape (ears, 32, samples). If `noise` is None, no noise is added.

    Returns:
        The index and its components, arrays of shape (ears,) with the dtype and device of the
        signals.
    """
    ears = torch_ear.TorchEars.at(levels_db, level1, reference)
    late = torch_ear.bulk_delays(reference, processed)
    start, lengths = torch_ear.audible_part(reference)
    inside = torch.arange(reference.shape[-1], device=reference.device) < lengths
    # Here and below, x stands for the reference and y for the processed signal.
    x = torch_ear.cochlea(torch_ear.advance(reference, start) * inside, lengths, ears)
    y = torch_ear.cochlea(torch_ear.advance(processed, start + late) * inside, lengths, ears)
    # Envelope and motion of the processed signal, (ears, 32, samples), are aligned with those of
    # the reference.
    envelope = torch_ear.align(y.envelope, x.envelope)
    motion = torch_ear.align(y.motion, x.motion)
    delay = torch_ear.equalising_delays(x.bandwidth)
    x_noise, y_noise = noise or (None, None)
    noise_power = 0 * ears.level1 if noise else ears.noise_gain() ** 2
    x_db, x_firing = torch_ear.inner_hair_cells(x.envelope, x.motion, ears, x_noise, delay)
    y_db, y_firing = torch_ear.inner_hair_cells(envelope, motion, ears, y_noise, delay)
    cepstral = _cepstral_correlation(_smoothed(x_db), _smoothed(y_db))
    synchrony = _synchrony(x_firing, y_firing, noise_power)
    d_loud, d_norm = _spectral_terms(torch_ear.spectrum_db(x, ears), torch_ear.spectrum_db(y, ears))
    score, nonlinear, linear = regression(cepstral, synchrony, d_loud, d_norm)
    return TorchHaaqi(score, nonlinear, linear, cepstral, synchrony, d_loud, d_norm)


def _smoothed(envelope_db: Tensor) -> Tensor:
    """Average envelopes (ears, 32, samples) over windows that overlap by half.

    The result has the shape (ears, 32, segments).
    """
    first, middle, last = _segments(envelope_db, SMOOTHING)
    window = torch.as_tensor(SMOOTHING_WINDOW).to(envelope_db)
    half = SMOOTHING // 2
    return torch.cat(
        [
            (piece @ weights / weights.sum())
            for piece, weights in (
                (first, window[half:]),
                (middle, window),
                (last, window[:half]),
            )
        ],
        -1,
    )


def _segments(signal: Tensor, segment: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cut a signal into segments that overlap by half.

    The first and the last segment have half the length of the segments between them.

    Returns:
        The first segment, the segments between the first and the last segment, and the last
        segment. Each of the three tensors has the shape (ears, 32, segments, samples of a segment).
    """
    count, half = segment_count(signal.shape[-1], segment), segment // 2
    frames = signal.unfold(-1, segment, half)
    last = signal[..., (count - 1) * half : count * half]
    return signal[..., None, :half], frames[..., 1 : count - 1, :], last[..., None, :]


def _cepstral_correlation(reference_db: Tensor, processed_db: Tensor) -> Tensor:
    """Compute the cepstral correlation (ears,) of two envelopes (ears, 32, segments).

    Ears are processed one after the other, because the number of audible segments differs between
    ears.
    """
    loudness_db = 20 * torch.log10(torch.mean(10 ** (reference_db / 20), dim=1))
    basis = torch.as_tensor(CEPSTRAL_BASIS).to(reference_db)
    filters = torch.as_tensor(MODULATION_FILTERS).to(reference_db)[:, None]
    correlations = []
    for ear, audible in enumerate(loudness_db > SILENCE_DB):
        if audible.count_nonzero() <= 1:
            correlations.append(0 * processed_db[ear].sum())  # a zero with a gradient of zero
            continue
        # (32, segments) -> cepstra (5, segments) -> modulation bands (5, 4, segments)
        x, y = (
            _centred(
                conv1d(_centred(basis.T @ z[ear][:, audible])[:, None], filters, padding="same")
            )
            for z in (reference_db, processed_db)
        )
        powers = (x**2).sum(-1) * (y**2).sum(-1)
        products = (x * y).sum(-1).abs() / torch.sqrt(powers + TINY)
        correlations.append(products.mean())
    return torch.stack(correlations)


def _centred(signal: Tensor) -> Tensor:
    return signal - signal.mean(-1, keepdim=True)


def _synchrony(reference: Tensor, processed: Tensor, noise_power: Tensor) -> Tensor:
    """Return the mean covariance of the basilar-membrane motions of two signals.

    The covariance is computed in each segment of each band. The mean is a weighted mean over the
    audible segments of all bands.

    Args:
        reference, processed: motions of both signals, arrays of shape (ears, 32, samples).
        noise_power: power that is added to the mean squares of both motions, an array of shape
            (ears, 1, 1).

    Returns:
        The average covariance, an array of shape (ears,).
    """
    half = SEGMENT // 2
    window = torch.as_tensor(WINDOW).to(reference)
    parts = zip(
        _segments(reference, SEGMENT),
        _segments(processed, SEGMENT),
        (window[half:], window, window[:half]),
        (HALF_WEIGHTS, FULL_WEIGHTS, HALF_WEIGHTS),
        strict=True,
    )
    squares, covariances = zip(*(_covariance(*part, noise_power) for part in parts), strict=True)
    level_db = torch.sqrt(2 * torch.cat(squares, -1)).detach()
    loudness_db = 20 * torch.log10(torch.sum(10 ** (level_db / 20), dim=1, keepdim=True) / BANDS)
    audible = (level_db > SILENCE_DB) & (loudness_db > SILENCE_DB)
    weights = audible * torch.as_tensor(synchronisation_weights()).to(reference)[:, None]
    total = (weights * torch.cat(covariances, -1)).sum((1, 2))
    return total / weights.sum((1, 2)).clamp_min(TINY)


def _covariance(
    x: Tensor, y: Tensor, window: Tensor, lag_weights: np.ndarray, noise_power: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean square of x and the largest normalised covariance of x and y over all lags.

    Both results have the shape (ears, 32, segments).
    """
    x, y = _centred(x * window), _centred(y * window)
    energy = (window**2).sum()
    x_square, y_square = ((z**2).sum(-1) / energy + noise_power for z in (x, y))
    # The size is at least SEGMENT + MAX_LAG, so that the circular correlation does not wrap around.
    size = 512
    spectrum = torch.fft.rfft(x, size) * torch.fft.rfft(y, size).conj()
    correlation = torch.fft.irfft(spectrum, size)
    lags = torch.cat((correlation[..., -MAX_LAG:], correlation[..., : MAX_LAG + 1]), -1)
    largest = (lags.abs() * torch.as_tensor(lag_weights).to(x)).amax(-1)
    return x_square, (largest / torch.sqrt(x_square * y_square + TINY)).clamp(max=1)


def _spectral_terms(reference_db: Tensor, processed_db: Tensor) -> tuple[Tensor, Tensor]:
    """Return the components d_loud and d_norm of HAAQI from two long-term spectra (ears, 32)."""
    x, y = (10 ** (spectrum / 20) for spectrum in (reference_db, processed_db))
    x, y = x / x.sum(-1, keepdim=True), y / y.sum(-1, keepdim=True)
    spreads = (
        BANDS * torch.sqrt(_centred(difference).square().mean(-1) + TINY)
        for difference in (x - y, (x - y) / (x + y))
    )
    absolute, relative = spreads
    return (1 - absolute / 2.5).clamp(0, 1), (1 - relative / 25).clamp(0, 1)
