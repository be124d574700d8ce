import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d

from cmss.hearing.haaqi.cepstral import cepstral_correlation, smoothed
from cmss.hearing.haaqi.filterbank import BANDS, CENTER_FREQUENCIES_HZ, MODEL_RATE_HZ
from cmss.training.modulation import (
    ENVELOPE_RATE_HZ,
    _modulations,
    band_powers,
    modulation_distance,
)

RATE_HZ = 22050
TIME = torch.arange(2 * RATE_HZ) / RATE_HZ


def noise(seed: int) -> torch.Tensor:
    return torch.randn(1, 2, 2 * RATE_HZ, generator=torch.Generator().manual_seed(seed))


def tone(hz: float, level: float = 1.0) -> torch.Tensor:
    return (level * torch.sin(2 * torch.pi * hz * TIME)).expand(1, 2, -1)


def test_equal_signals_are_at_no_distance_and_unrelated_ones_far():
    assert modulation_distance(noise(0), noise(0), RATE_HZ) == pytest.approx(0, abs=1e-6)
    # Chance correlations of two seconds: a few hundredths.
    assert modulation_distance(noise(1), noise(0), RATE_HZ) == pytest.approx(1, abs=0.1)


def test_more_noise_is_further_away():
    distances = [modulation_distance(noise(0) + k * noise(1), noise(0), RATE_HZ).item()
                 for k in (0, 0.1, 0.3, 1.0)]  # fmt: skip
    assert distances == sorted(distances)
    assert distances[-1] > distances[1] + 0.2


def test_level_makes_next_to_no_difference():
    """None but for the floor, which lies below the wanted signal's level."""
    assert modulation_distance(3 * noise(0), noise(0), RATE_HZ) < 1e-2


def test_beats_tell_the_balance_of_two_players():
    """Partials 40 Hz apart: how deep they beat is how near their levels are."""
    wanted = tone(1000) + tone(1040, 0.3)
    near = tone(1000) + tone(1040, 0.4) + 1e-3 * noise(0)
    alone = tone(1000) + 1e-3 * noise(0)
    assert modulation_distance(near, wanted, RATE_HZ) < 0.3
    assert modulation_distance(alone, wanted, RATE_HZ) > 0.5


@pytest.mark.parametrize("hz", [200, 1000, 5000])
def test_a_tone_is_loudest_in_its_band_and_its_envelope_is_kept(hz):
    beating = (1 + 0.5 * torch.cos(2 * torch.pi * 30 * TIME)) * tone(hz)
    power = band_powers(beating, RATE_HZ)[0, 0]
    assert power.shape == (BANDS, 2 * ENVELOPE_RATE_HZ)
    band = int(power.mean(-1).argmax())
    assert band == np.abs(CENTER_FREQUENCIES_HZ - hz).argmin()
    spectrum = torch.fft.rfft(power[band].sqrt() - power[band].sqrt().mean()).abs()
    assert int(spectrum.argmax()) / 2 == 30  # two seconds: half a hertz a bin


def test_it_is_the_metrics_cepstral_correlation_of_the_same_envelopes():
    """Envelopes of 32 bands, slower than half of 1 kHz, given to both; the metric takes the
    absolute value of each correlation, so related signals are compared. What is left is the
    difference between smoothing at 24 kHz and at 1 kHz."""
    rng = np.random.default_rng(0)
    seconds = 3
    drawn = gaussian_filter1d(rng.standard_normal((2, BANDS, seconds * MODEL_RATE_HZ)), 60)
    envelopes = 40 + 200 * drawn
    reference, processed = envelopes[0], envelopes[0] + 0.5 * envelopes[1]
    segments = 250 * seconds
    expected = cepstral_correlation(
        *(np.stack([smoothed(band, segments) for band in e]) for e in (reference, processed))
    )
    step = MODEL_RATE_HZ // ENVELOPE_RATE_HZ
    ours = (
        _modulations(torch.from_numpy(10 ** (e[None, None, :, ::step] / 10)).float(),
                     torch.zeros(1))
        for e in (reference, processed)
    )  # fmt: skip
    assert 0.5 < expected < 0.95
    assert F.cosine_similarity(*ours, dim=-1).mean().item() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("silent", ["got", "wanted", "both"])
def test_gradients_are_finite_in_silence(silent):
    got = noise(0) * (silent == "wanted")
    wanted = noise(1) * (silent == "got")
    got = got.clone().requires_grad_()
    modulation_distance(got, wanted, RATE_HZ).backward()
    assert got.grad.isfinite().all()
