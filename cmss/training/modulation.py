"""Compares the fast modulations of the spectral envelopes of two signals, as HAAQI does.

The term of HAAQI with the largest weight is the cepstral correlation (Kates and Arehart 2016,
section II). HAAQI smooths the envelopes of auditory bands in dB and samples them every 4 ms. At
each time, half cosines across the bands are fitted to the envelopes; the coefficients of these
cosines are the cepstral coefficients. The modulations of each cepstral coefficient between 20 and
125 Hz are correlated with the same modulations of the reference. Modulations between 20 and 125 Hz
are beats between neighbouring partials. The beats depend on the balance of the players whose
partials lie in the same band.

The loss in this module is 1 minus the cepstral correlation. The loss is computed without the ear
model, because the ear model takes too much computing time. Each signal is transformed once by a
Fourier transform. The envelope of each band is computed from the bins of the Fourier transform, at
a sampling rate of 1 kHz.

In shapes, B is the size of the batch, T the number of samples of a signal, and N the number of
samples of an envelope.
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
"""Sampling rate of the envelopes, which exceeds the bandwidth of the auditory filter at 8 kHz
(890 Hz)."""


def modulation_distance(estimate: Tensor, target: Tensor, sample_rate_hz: int) -> Tensor:
    """Compute 1 minus the mean correlation of modulations; the result is 0 for equal signals.

    Args:
        estimate, target: signals (B, 2, T) of at least 1 s.
        sample_rate_hz: sampling rate of both signals.
    """
    with torch.autocast(target.device.type, enabled=False):
        power = band_powers(target.float(), sample_rate_hz)  # (B, 2, 32, N)
        means = power.mean(-1, keepdim=True)
        # Powers count as inaudible if they are 25 dB below the mean of the band, or 50 dB below the
        # mean of all bands. For the challenge's listeners, the level of amplified music is about
        # that far above the hearing threshold.
        floor = 10**-2.5 * means + 10**-5.0 * means.mean(2, keepdim=True) + 1e-20
        reference = _modulations(power, floor)
        processed = _modulations(band_powers(estimate.float(), sample_rate_hz), floor)
        return 1 - F.cosine_similarity(processed, reference, dim=-1, eps=1e-4).mean()


def band_powers(signal: Tensor, sample_rate_hz: int) -> Tensor:
    """Compute the squared envelopes (B, 2, 32, N) of auditory bands of a signal (B, 2, T)."""
    samples = signal.shape[-1]
    points = 2 * round(samples * ENVELOPE_RATE_HZ / sample_rate_hz / 2)  # N
    spectrum = torch.fft.rfft(signal)  # (B, 2, T // 2 + 1)
    spacing = sample_rate_hz / samples  # distance between two bins in Hz
    centre, erb = (
        torch.tensor(hz.copy(), device=signal.device, dtype=torch.float32)
        for hz in (CENTER_FREQUENCIES_HZ, ERB_HZ)
    )
    # Select the N bins around each centre frequency. The inverse transform of these bins is the
    # signal of the band, shifted down to 0 Hz and sampled at 1 kHz. The magnitude of this signal is
    # the envelope.
    offset = torch.arange(points, device=signal.device) - points // 2
    index = (centre / spacing).round().long()[:, None] + offset  # (32, N)
    inside = (index > 0) & (index < spectrum.shape[-1])
    # The bands are 1.5 times as wide as in a healthy ear, which corresponds to a moderate hearing
    # loss.
    from_centre = (index * spacing - centre[:, None]) / (1.5 * WIDTH_PER_ERB * erb[:, None])
    response = (1 + 1j * from_centre) ** -4 * inside  # gammatone of fourth order
    bins = spectrum[..., index.clamp(0, spectrum.shape[-1] - 1)] * response  # (B, 2, 32, N)
    envelope = torch.fft.ifft(torch.fft.ifftshift(bins, dim=-1))
    return torch.view_as_real(envelope).square().sum(-1)


def _modulations(power: Tensor, floor: Tensor) -> Tensor:
    """Compute cepstral coefficients (B, 2, 5, 4, N / 4) in four modulation bands.

    As in HAAQI, the cepstral coefficients are smoothed over 8 ms, and then filtered by HAAQI's
    modulation filters. The smoothing filter and the modulation filters work at a sampling rate of 1
    kHz.
    """
    envelope_db = 10 * torch.log10(power + floor)
    basis = torch.as_tensor(CEPSTRAL_BASIS, device=power.device, dtype=power.dtype)
    cepstrum = torch.einsum("bj,eabn->eajn", basis, envelope_db)  # (B, 2, 5, N)
    cepstrum = cepstrum - cepstrum.mean(-1, keepdim=True)
    window = torch.hann_window(SMOOTHING * ENVELOPE_RATE_HZ // MODEL_RATE_HZ + 1, periodic=False)
    filters = torch.as_tensor(MODULATION_FILTERS, dtype=torch.float32)  # (4, taps at 250 Hz)
    # Convert the taps from 250 Hz to 1 kHz by inserting three zeros after each tap. The smoothing
    # filter interpolates between the taps.
    stride = ENVELOPE_RATE_HZ // 250
    spread = torch.zeros(*filters.shape, stride)
    spread[..., 0] = filters
    smooth = (window / window.sum()).view(1, 1, -1)
    taps = F.conv1d(spread.flatten(1).unsqueeze(1), smooth, padding="same").to(power)
    padding = (taps.shape[-1] - 1) // 2
    rows = cepstrum.flatten(0, 2).unsqueeze(1)  # (B * 2 * 5, 1, N)
    return F.conv1d(rows, taps, stride=stride, padding=padding).unflatten(0, cepstrum.shape[:3])
