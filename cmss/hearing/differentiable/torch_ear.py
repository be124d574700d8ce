"""Implements a differentiable ear model for batches of ears on any device.

The steps of the model are those of `ear_model`, but the recursive filters are replaced by products
in the frequency domain. The spectrum of the signal is multiplied by the frequency response of a
gammatone filter. Before the FFT, the signal is padded with zeros until the impulse response of the
filter has decayed to rounding error. The other filters are applied by fast convolution with their
impulse responses, which are as long as the signal. Delays are estimated without gradients. The
shifts by these delays are differentiable with respect to the signals.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.fft import next_fast_len
from scipy.signal import freqz
from torch import Tensor

from cmss.hearing.haaqi.alignment import LAGS
from cmss.hearing.haaqi.ear_model import GAIN_SMOOTHING, NOISE_DB
from cmss.hearing.haaqi.filterbank import (
    CENTER_FREQUENCIES_HZ,
    CONTROL_BANDWIDTH,
    ERB_HZ,
    MODEL_RATE_HZ,
    WIDTH_PER_ERB,
    HearingLoss,
)
from cmss.hearing.haaqi.front_end import DISPERSION, MIDDLE_EAR
from cmss.hearing.haaqi.kernels import ADAPTATION, OVERSHOOT, TINY


def at_model_rate(signal: Tensor, sample_rate_hz: int) -> Tensor:
    """Resample a signal (..., samples) to 24 kHz by FFT, with a sharp cut-off at 12 kHz.

    Below 10 kHz and more than 40 ms from the ends, the result differs from the result of soxr
    (quality HQ) by less than 1e-3 of the amplitude.
    """
    samples = signal.shape[-1]
    divisor = math.gcd(sample_rate_hz, MODEL_RATE_HZ)
    period, target_period = sample_rate_hz // divisor, MODEL_RATE_HZ // divisor
    # The FFT is circular. At least 20 ms of zeros prevent the end of the signal from ringing into
    # its start.
    periods = next_fast_len(-(-(samples + sample_rate_hz // 50) // period), real=True)
    spectrum = torch.fft.rfft(signal, periods * period)
    resampled = torch.fft.irfft(spectrum, periods * target_period) * (target_period / period)
    return resampled[..., : round(samples * MODEL_RATE_HZ / sample_rate_hz)]


class TorchEars(NamedTuple):
    """Holds the hearing losses and calibrations of a batch of ears.

    Every field has the shape (ears, 32, 1), except `level1`, which has the shape (ears, 1, 1).
    """

    level1: Tensor  # (ears, 1, 1)
    outer_attenuation_db: Tensor
    inner_attenuation_db: Tensor
    bandwidth: Tensor
    knee_db: Tensor
    compression_ratio: Tensor

    @classmethod
    def at(cls, levels_db: ArrayLike, level1: ArrayLike | Tensor, like: Tensor) -> "TorchEars":
        """Build ears from hearing levels.

        Args:
            levels_db: hearing levels at `filterbank.AUDIOMETRIC_FREQUENCIES_HZ`, an array of shape
                (ears, 6) or (6,).
            level1: level in dB SPL of a signal whose root mean square is 1, an array of shape
                (ears,) or a number.
            like: tensor; the fields of the result get the dtype and the device of this tensor.
        """
        losses = [HearingLoss.at(levels) for levels in np.atleast_2d(levels_db)]
        fields = [
            torch.as_tensor(np.stack(field)).to(like)[..., None]
            for field in zip(*losses, strict=True)
        ]
        level = torch.as_tensor(level1).to(like).reshape(-1, 1, 1)
        return cls(level, *fields)

    def noise_gain(self) -> Tensor:
        """Return the amplitude (ears, 1, 1) of the noise that represents the hearing threshold."""
        return 10 ** ((NOISE_DB - self.level1) / 20)


class CochleaOutput(NamedTuple):
    """Holds the output of the auditory filters and the outer hair cells.

    Attributes:
        envelope: compressed envelope of each band, an array of shape (ears, 32, samples).
        motion: compressed basilar-membrane motion of each band, an array of shape (ears, 32,
            samples).
        rms: root mean square of the envelope before compression, an array of shape (ears, 32, 1).
        control_rms: root mean square of the control path, an array of shape (ears, 32, 1).
        bandwidth: bandwidth of each auditory filter relative to a normal ear, an array of shape
            (ears, 32, 1).
    """

    envelope: Tensor
    motion: Tensor
    rms: Tensor
    control_rms: Tensor
    bandwidth: Tensor


def cochlea(signal: Tensor, lengths: Tensor, ears: TorchEars) -> CochleaOutput:
    """Apply the middle ear, the filterbank and the compression.

    Args:
        signal: signal of each ear at 24 kHz, an array of shape (ears, samples).
        lengths: number of samples over which the levels of each ear are averaged, an array of shape
            (ears, 1).
        ears: hearing losses and calibrations of the ears.
    """
    samples = signal.shape[-1]
    # After 4096 samples, the impulse response of the narrowest filter is below 1e-10 of its peak.
    size = next_fast_len(samples + 4096)
    # (ears, 1, size)
    spectrum = torch.fft.fft(signal, size) * _middle_ear(size, signal.dtype, signal.device)
    spectrum = spectrum[:, None]

    # The level of the control path (ears, 32, samples) sets the bandwidth of the auditory filters.
    wide = torch.as_tensor(CONTROL_BANDWIDTH).to(signal)[None, :, None]
    control = torch.fft.ifft(spectrum * _gammatone(wide, size))[..., :samples]
    power = control.real**2 + control.imag**2
    control_rms = _root(power.sum(-1, keepdim=True) / lengths[..., None])
    excess_db = ears.level1 + 20 * torch.log10(control_rms) - 50
    bandwidth = ears.bandwidth + (excess_db / 50).clamp(0, 1) * (wide - ears.bandwidth)

    # The outputs of the auditory filters are compressed. The gain depends on the instantaneous
    # level of the control path.
    narrow = torch.fft.ifft(spectrum * _gammatone(bandwidth, size))[..., :samples]
    envelope = narrow.abs()
    level_db = ears.level1 + 10 * torch.log10(power + TINY)
    excess_db = torch.maximum(level_db.clamp(max=100), ears.knee_db) - ears.knee_db
    gain_db = -ears.outer_attenuation_db - excess_db * (1 - 1 / ears.compression_ratio)
    gain = _convolve(10 ** (gain_db / 20), _gain_smoothing(signal.dtype, signal.device))
    rms = _root((envelope**2).sum(-1, keepdim=True) / lengths[..., None])
    return CochleaOutput(gain * envelope, gain * narrow.real, rms, control_rms, bandwidth)


def inner_hair_cells(
    envelope: Tensor, motion: Tensor, ears: TorchEars, noise: Tensor | None, delay: Tensor
) -> tuple[Tensor, Tensor]:
    """Apply the inner hair cells.

    Args:
        envelope, motion: envelope and motion after compression and alignment, arrays of shape
            (ears, 32, samples).
        ears: hearing losses and calibrations of the ears.
        noise: standard normal deviates for the noise that represents the hearing threshold, an
            array of shape (ears, 32, samples). If `noise` is None, no noise is added.
        delay: number of samples by which the output of each band is delayed, an array of shape
            (ears, 32, 1).

    Returns:
        The adapted envelope in dB and the motion scaled to this envelope, arrays of shape (ears,
        32, samples).
    """
    level_db = ears.level1 - ears.inner_attenuation_db + 20 * torch.log10(envelope + TINY)
    level_db = torch.relu(level_db)
    slow_db = _convolve(level_db, _adaptation(envelope.shape[-1], envelope.dtype, envelope.device))
    # For levels below the threshold, the result consists of rounding errors of the FFT. The
    # division by the envelope would amplify these errors. Therefore, the result is set to zero.
    adapted_db = torch.relu(OVERSHOOT * (level_db - slow_db)) * (level_db > 0)
    firing = adapted_db / (envelope + TINY) * motion
    # Where the alignment has inserted zeros, the ratio of the envelopes in the original program is
    # 1, so the motion is not converted. This motion affects the score, but its gradient would be
    # meaningless.
    firing = firing + torch.where(envelope == 0, motion, 0).detach()
    if noise is not None:
        firing = firing + ears.noise_gain() * noise
    return advance(adapted_db, -delay), advance(firing, -delay)


def spectrum_db(output: CochleaOutput, ears: TorchEars) -> Tensor:
    """Return by how many dB the long-term level of each band exceeds the hearing threshold.

    The result has the shape (ears, 32).
    """
    control_db = ears.level1 + 20 * torch.log10(output.control_rms)
    excess_db = torch.maximum(control_db.clamp(max=100), ears.knee_db) - ears.knee_db
    gain_db = -ears.outer_attenuation_db - excess_db * (1 - 1 / ears.compression_ratio)
    level_db = torch.relu(ears.level1 + 20 * torch.log10(output.rms))
    return torch.relu(level_db + gain_db - ears.inner_attenuation_db)[..., 0]


@torch.no_grad()
def audible_part(reference: Tensor) -> tuple[Tensor, Tensor]:
    """Return the start and the length of the audible segment of each reference.

    `front_end.audible_part` defines the audible segment. Both results have the shape (ears, 1).
    """
    above = reference.abs() > 0.001 * reference.abs().amax(-1, keepdim=True)
    start = above.int().argmax(-1, keepdim=True)
    after = above.flip(-1).int().argmax(-1, keepdim=True)
    return start, reference.shape[-1] - after - start


@torch.no_grad()
def bulk_delays(reference: Tensor, processed: Tensor) -> Tensor:
    """Return the delay in samples (ears, 1) of `processed`; see `front_end.bulk_delay`."""
    lags = reference.shape[-1] - 1
    x, y = (z - z.mean(-1, keepdim=True) for z in (reference, processed))
    return _last_maximum(_correlation(x, y, lags).abs()) - lags - DISPERSION


def align(processed: Tensor, reference: Tensor) -> Tensor:
    """Advance each band (..., samples) by the delay that `alignment.Aligner` estimates."""
    lags = min(LAGS, reference.shape[-1] - 1)
    with torch.no_grad():
        correlation = _correlation(reference, processed, lags)[..., : 2 * lags]
        delay = _last_maximum(correlation) - lags
    return advance(processed, delay)


def _correlation(reference: Tensor, processed: Tensor, lags: int) -> Tensor:
    """Return the cross-correlation (..., 2 lags + 1) at delays from -lags to lags."""
    size = next_fast_len(reference.shape[-1] + lags, real=True)
    spectrum = torch.fft.rfft(reference, size).conj() * torch.fft.rfft(processed, size)
    correlation = torch.fft.irfft(spectrum, size)
    return torch.cat((correlation[..., size - lags :], correlation[..., : lags + 1]), -1)


def _last_maximum(correlation: Tensor) -> Tensor:
    """Return the index (..., 1) of the largest value, or the last index of several equal values."""
    return correlation.shape[-1] - 1 - correlation.flip(-1).argmax(-1, keepdim=True)


def advance(signal: Tensor, delay: Tensor) -> Tensor:
    """Shift a signal (..., samples) by `delay` samples towards its start, and append zeros."""
    samples = signal.shape[-1]
    source = torch.arange(samples, device=signal.device) + delay
    inside = (source >= 0) & (source < samples)
    return signal.gather(-1, source.clamp(0, samples - 1)) * inside


@torch.no_grad()
def equalising_delays(bandwidth: Tensor) -> Tensor:
    """Return the delay (ears, 32, 1) of each band; see `filterbank.equalising_delays`."""
    # The group delay of `filterbank.Gammatone` at 0 Hz is the sum of two terms. Its zeros give
    # (b1 + 2 b2) / (1 + b1 + b2), and its four poles give 4 a / (1 - a).
    a = torch.exp(-_width(bandwidth))
    steady = (4 * a + 8 * a**2) / (1 + 4 * a + 4 * a**2) + 4 * a / (1 - a)
    steady = steady.round().long()
    return steady.amax(1, keepdim=True) - steady


def _root(power: Tensor) -> Tensor:
    """Return the square root with a finite gradient at zero."""
    return torch.sqrt(power + TINY)


def _width(bandwidth: Tensor) -> Tensor:
    """Return -log a, where a is the pole of each gammatone filter, for bandwidths (..., 32, 1)."""
    erb = torch.as_tensor(2 * np.pi / MODEL_RATE_HZ * WIDTH_PER_ERB * ERB_HZ).to(bandwidth)
    return bandwidth * erb[:, None]


def _gammatone(bandwidth: Tensor, size: int) -> Tensor:
    """Return the frequency responses (..., 32, size) of gammatone filters of a given bandwidth.

    The module `ear_model` shifts the signal from the centre frequency to 0 Hz. In contrast, this
    function shifts the filter from 0 Hz to the centre frequency. The real part of the output of the
    filter is the motion, and the magnitude of the output is the envelope. The term 1 - a / z is
    computed in a form without cancellation near the centre frequency, so that single precision
    suffices.

    Args:
        bandwidth: bandwidth relative to a normal ear, an array of shape (..., 32, 1).
        size: length of the FFT.
    """
    turn_back, off_center = _around_center(size, bandwidth.dtype, bandwidth.device)
    width = _width(bandwidth)
    a, less = torch.exp(-width), -torch.expm1(-width)
    gain = 2 * less**4 / (1 + 4 * a + 4 * a**2)
    zeros = gain * (1 + 4 * a * turn_back * (1 + a * turn_back))
    return zeros / (less + a * off_center).square().square()


# The tensors below depend only on length, dtype and device. These repeat in training, so the
# tensors are cached. They are created outside of inference mode, because autograd rejects tensors
# that were created in inference mode.


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)
def _around_center(size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return exp(-j angle) and 1 - exp(-j angle).

    The angle of a bin is measured from the centre frequency of the filter. Both results have the
    shape (32, size).
    """
    turns = np.arange(size) / size - CENTER_FREQUENCIES_HZ[:, None] / MODEL_RATE_HZ
    angle = 2 * np.pi * (turns - np.round(turns))
    off_center = 2 * np.sin(angle / 2) ** 2 + 1j * np.sin(angle)
    complex_dtype = dtype.to_complex()
    return (
        torch.as_tensor(np.exp(-1j * angle)).to(device, complex_dtype),
        torch.as_tensor(off_center).to(device, complex_dtype),
    )


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)
def _middle_ear(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the frequency response (size,) of both middle-ear filters."""
    response = np.ones(size, dtype=np.complex128)
    for numerator, denominator in MIDDLE_EAR:
        response *= freqz(numerator, denominator, size, whole=True)[1]
    return torch.as_tensor(response).to(device, dtype.to_complex())


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)
def _gain_smoothing(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the impulse response of the low-pass filter that smooths the compression gain.

    The impulse response ends where it has decayed below 1e-16.
    """
    b, a = GAIN_SMOOTHING
    response = b * (-a) ** np.arange(200)
    response[1:] += response[:-1].copy()
    return torch.as_tensor(response).to(device, dtype)


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)
def _adaptation(samples: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the impulse response (samples,) of the adaptation of the inner hair cells.

    The adaptation subtracts the output of the filter with this response from the input.
    """
    time = np.arange(samples)
    response = np.sum([weight * decay**time for decay, weight in ADAPTATION], axis=0)
    return torch.as_tensor(response).to(device, dtype)


def _convolve(signal: Tensor, response: Tensor) -> Tensor:
    """Convolve a signal (..., samples) with an impulse response; the length does not change."""
    samples = signal.shape[-1]
    size = next_fast_len(samples + len(response), real=True)
    spectrum = torch.fft.rfft(signal, size) * torch.fft.rfft(response, size)
    return torch.fft.irfft(spectrum, size)[..., :samples]
