"""How far the fast modulations of the spectrum's shape are from those that HAAQI wants to hear.

The largest part of HAAQI is the cepstral correlation (Kates and Arehart 2016, section II): dB
envelopes in auditory bands, smoothed and read every 4 ms, fitted by half cosines across the bands,
and each fit's modulations between 20 and 125 Hz correlated with the reference's. They are the beats
of neighbouring partials, so they depend on the balance of players whose partials meet in a band.
This is that part alone and without the ear model, so that it costs little: one Fourier transform
per signal, of which each band takes its bins down to an envelope at 1 kHz.

Shapes: B batch, T samples, N envelope samples.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cmss.hearing.haaqi.cepstral import CEPSTRAL_BASIS, MODULATION_FILTERS, SMOOTHING
from cmss.hearing.haaqi.filterbank import (
    CENTER_FREQUENCIES_HZ,
    ERB_HZ,
    MODEL_RATE_HZ,
    WIDTH_PER_ERB,
)

ENVELOPE_RATE_HZ = 1000
"""Widest band that an envelope can have; the ear's at 8 kHz has 890 Hz."""

STRIDE = 4  # from 1 kHz to the metric's 250 Hz

FLOOR_DB = (-25.0, -50.0)
"""What is audible: against the mean of the band itself, and of all bands together.

About the range left between the thresholds of the challenge's listeners and amplified music."""

WIDTH = 1.5
"""Bandwidth against a healthy ear's, as with a moderate loss."""


def modulation_distance(got: Tensor, wanted: Tensor, sample_rate_hz: int) -> Tensor:
    """One minus the mean correlation of modulations: 0 for equal signals, 1 for unrelated ones.

    Args:
        got, wanted: (B, 2, T), at least a second.
        sample_rate_hz: of both.
    """
    with torch.autocast(wanted.device.type, enabled=False):
        power = band_powers(wanted.float(), sample_rate_hz)
        means = power.mean(-1, keepdim=True)
        of_band, of_all = (10 ** (level / 10) for level in FLOOR_DB)
        floor = of_band * means + of_all * means.mean(2, keepdim=True) + 1e-20
        reference = _modulations(power, floor)
        processed = _modulations(band_powers(got.float(), sample_rate_hz), floor)
        return 1 - F.cosine_similarity(processed, reference, dim=-1, eps=1e-4).mean()


def band_powers(signal: Tensor, sample_rate_hz: int) -> Tensor:
    """Squared envelopes of the auditory bands: (B, 2, T) -> (B, 2, 32, N), N = T at 1 kHz."""
    samples = signal.shape[-1]
    points = 2 * round(samples * ENVELOPE_RATE_HZ / sample_rate_hz / 2)
    spectrum = torch.fft.rfft(signal)
    spacing = sample_rate_hz / samples
    centre, erb = (
        torch.tensor(hz.copy(), device=signal.device, dtype=torch.float32)
        for hz in (CENTER_FREQUENCIES_HZ, ERB_HZ)
    )
    offset = torch.arange(points, device=signal.device) - points // 2
    index = (centre / spacing).round().long()[:, None] + offset  # (32, points)
    inside = (index > 0) & (index < spectrum.shape[-1])
    from_centre = (index * spacing - centre[:, None]) / (WIDTH * WIDTH_PER_ERB * erb[:, None])
    response = (1 + 1j * from_centre) ** -4 * inside  # gammatone of fourth order
    bins = spectrum[..., index.clamp(0, spectrum.shape[-1] - 1)] * response
    envelope = torch.fft.ifft(torch.fft.ifftshift(bins, dim=-1))
    return torch.view_as_real(envelope).square().sum(-1)


def _modulations(power: Tensor, floor: Tensor) -> Tensor:
    """(B, 2, 32, N) -> (B, 2, 5, 4, N / 4): cepstral coefficients, each in four bands."""
    envelope_db = 10 * torch.log10(power + floor)
    basis = torch.as_tensor(CEPSTRAL_BASIS, device=power.device, dtype=power.dtype)
    cepstrum = torch.einsum("bj,eabn->eajn", basis, envelope_db)
    cepstrum = cepstrum - cepstrum.mean(-1, keepdim=True)
    taps = _taps(power)
    padding = (taps.shape[-1] - 1) // 2
    rows = cepstrum.flatten(0, 2).unsqueeze(1)
    return F.conv1d(rows, taps, stride=STRIDE, padding=padding).unflatten(0, cepstrum.shape[:3])


def _taps(like: Tensor) -> Tensor:
    """(4, 1, taps) at 1 kHz: the metric's smoothing over 8 ms, then its modulation filters."""
    window = torch.hann_window(SMOOTHING * ENVELOPE_RATE_HZ // MODEL_RATE_HZ + 1, periodic=False)
    filters = torch.as_tensor(MODULATION_FILTERS, dtype=torch.float32)
    # Filters at 250 Hz as ones at 1 kHz: three zeros between taps, which the smoothing fills.
    spread = torch.zeros(*filters.shape, STRIDE)
    spread[..., 0] = filters
    smooth = window / window.sum()
    taps = F.conv1d(spread.flatten(1).unsqueeze(1), smooth.view(1, 1, -1), padding="same")
    return taps.to(like)
