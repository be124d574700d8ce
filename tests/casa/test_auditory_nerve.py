"""Gammatone filterbank, hair cells and correlogram, compared with their definitions."""

import numpy as np
import pytest
from scipy.signal import gammatone as scipy_gammatone
from scipy.signal import lfilter

from cmss.casa.correlogram import correlogram, similarity
from cmss.casa.gammatone import delay_samples, erb_hz, erb_spaced_hz, gammatone
from cmss.casa.hair_cell import MEDIUM, HairCell, firing
from cmss.casa.units import CENTRES_HZ, LAGS, SAMPLE_RATE_HZ, WINDOW, auditory_nerve

TIME = np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ


def test_bandwidths_and_centres():
    # Glasberg and Moore (1990): 132.6 Hz at 1 kHz.
    assert erb_hz(np.array(1000.0)) == pytest.approx(132.639)
    assert len(CENTRES_HZ) == 128
    assert CENTRES_HZ[[0, -1]] == pytest.approx([50, 5000])
    centres = erb_spaced_hz(50, 5000, 100_001)
    steps = np.diff(centres) / erb_hz(centres[:-1])
    # Equal parts of an ERB, up to the curvature of steps of 3e-4 ERB.
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)


@pytest.mark.parametrize("hz", [100.0, 440.0, 1000.0, 3000.0])
def test_impulse_response_is_a_gammatone(hz):
    """t^3 exp(-2 pi b t) cos(2 pi f t), within 2 % of its peak.

    Four poles in series have (n + 1)(n + 2)(n + 3) instead of n^3, a shift by two samples. The
    response has thousands of samples at 100 Hz and one hundred at 3 kHz.
    """
    impulse = np.zeros(4000)
    impulse[0] = 1
    response = gammatone(impulse, np.array([hz]), SAMPLE_RATE_HZ)[0]
    n = np.arange(len(impulse))
    decay = np.exp(-2 * np.pi * 1.019 * erb_hz(np.array(hz)) / SAMPLE_RATE_HZ)
    carrier = np.exp(2j * np.pi * hz * n / SAMPLE_RATE_HZ)
    binomial = (n + 1) * (n + 2) * (n + 3) / 6 * decay**n * 2 * (1 - decay) ** 4
    # Sums of doubles.
    np.testing.assert_allclose(response, binomial * carrier, rtol=0, atol=1e-12)
    envelope = (n + 2) ** 3 * decay**n
    scaled = np.abs(response) / np.abs(response).max() - envelope / envelope.max()
    assert np.abs(scaled).max() < 0.02


@pytest.mark.parametrize("hz", [440.0, 1000.0, 2000.0])
def test_magnitude_is_that_of_scipy(hz):
    """scipy.signal.gammatone (Slaney 1993) has zeros too: 0.5 dB within an ERB of the centre."""
    spread = np.linspace(-1, 1, 9) * erb_hz(np.array(hz)) + hz
    impulse = np.zeros(SAMPLE_RATE_HZ)
    impulse[0] = 1
    ours = gammatone(impulse, np.array([hz]), SAMPLE_RATE_HZ)[0].real
    theirs = lfilter(*scipy_gammatone(hz, "iir", fs=SAMPLE_RATE_HZ), impulse)
    phases = np.exp(-2j * np.pi * np.outer(spread, np.arange(len(impulse))) / SAMPLE_RATE_HZ)
    difference = 20 * np.log10(np.abs(phases @ ours) / np.abs(phases @ theirs))
    assert np.abs(difference).max() < 0.5


def test_gain_1_and_the_stated_delay_at_the_centre():
    hz = 1000.0
    burst = np.exp(-(((TIME - 0.25) / 0.02) ** 2))
    envelope = np.abs(
        gammatone(burst * np.cos(2 * np.pi * hz * TIME), np.array([hz]), SAMPLE_RATE_HZ)[0]
    )
    # A burst of 20 ms is a little wider than a line.
    assert envelope.max() == pytest.approx(1, abs=0.02)
    delay = delay_samples(np.array([hz]), SAMPLE_RATE_HZ)[0]
    assert abs(envelope.argmax() - burst.argmax() - delay) <= 2


def test_hair_cell_at_rest_fires_spontaneously():
    """h M y k / (l k + y (l + r)), k = g A / (A + B): equation of the rest in Meddis (1986)."""
    k = MEDIUM.g * MEDIUM.A / (MEDIUM.A + MEDIUM.B)
    cleft = MEDIUM.M * MEDIUM.y * k / (MEDIUM.l * k + MEDIUM.y * (MEDIUM.l + MEDIUM.r))
    rates = firing(np.zeros((1, 1600)), SAMPLE_RATE_HZ)
    # The initial state is the steady state, up to rounding.
    np.testing.assert_allclose(rates, MEDIUM.h * cleft, rtol=1e-9)
    assert MEDIUM.spontaneous() == pytest.approx(MEDIUM.h * cleft)


def test_hair_cell_adapts_to_the_steady_state_of_a_step():
    """The steady state with constant motion is that of a cell at rest with a larger A."""
    motion = 100.0
    rates = firing(np.full((1, 3 * SAMPLE_RATE_HZ), motion), SAMPLE_RATE_HZ)[0]
    shifted = HairCell(A=MEDIUM.A + motion, B=MEDIUM.B)
    # After 3 s, of time constants up to 0.1 s.
    assert rates[-1] == pytest.approx(shifted.spontaneous(), rel=1e-3)
    assert rates.max() > 2 * rates[-1]  # the onset


def test_the_correlogram_peaks_at_the_period():
    hz = 200.0
    tone = sum(np.sin(2 * np.pi * k * hz * TIME) for k in range(1, 11))
    rates = auditory_nerve(tone)
    frames = correlogram(rates, WINDOW, 160, LAGS)
    summary = frames[:, frames.shape[1] // 2].sum(0)
    period = round(SAMPLE_RATE_HZ / hz)
    assert abs(40 + summary[40:120].argmax() - period) <= 1


def test_the_correlogram_does_not_fall_with_the_lag():
    sine = np.sin(2 * np.pi * 500 * TIME)[None]
    frame = correlogram(sine, WINDOW, 160, LAGS)[0, 20]
    periods = frame[::32]
    # Ends of a window of 32 periods, under a taper.
    np.testing.assert_allclose(periods, periods[0], rtol=0.02)


def test_similarity():
    rng = np.random.default_rng(0)
    one = rng.standard_normal((3, 4, 50)).astype(np.float32)
    np.testing.assert_allclose(similarity(one, 2 * one + 1), 1, atol=1e-5)  # float32
    np.testing.assert_allclose(similarity(one, -one), -1, atol=1e-5)
    np.testing.assert_array_equal(similarity(one, np.zeros_like(one)), 0)
    expected = np.corrcoef(one[0, 0], one[1, 2])[0, 1]
    assert similarity(one[:1, :1], one[1:2, 2:3])[0, 0] == pytest.approx(expected, abs=1e-5)


def test_a_window_shorter_than_twice_the_lags_is_refused():
    with pytest.raises(ValueError, match="window must be at least twice the lags, 640"):
        correlogram(np.zeros((1, 2000)), 600, 160, 320)
