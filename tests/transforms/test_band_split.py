import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.transforms.band_split import OVERLAP_OCTAVES, band_responses, band_split, band_sum

EDGES = (250.0, 500.0, 1000.0, 4000.0)
RATE_HZ = 16000


@settings(deadline=None, max_examples=30)
@given(samples=st.integers(1, 3000), bands=st.integers(0, 4))
def test_the_bands_sum_to_the_signal(samples, bands):
    signal = np.random.default_rng(samples).standard_normal((2, samples))
    parts = band_split(signal, EDGES[:bands], RATE_HZ)
    assert parts.shape == (bands + 1, 2, samples)
    np.testing.assert_allclose(parts.sum(0), signal, rtol=0, atol=1e-12)  # rounding in float64


@pytest.mark.parametrize(("hz", "band"), [(60, 0), (350, 1), (700, 2), (2000, 3), (7000, 4)])
def test_a_tone_is_in_its_band_and_in_phase(hz, band):
    time = np.arange(RATE_HZ) / RATE_HZ
    tone = np.sin(2 * np.pi * hz * time) * np.hanning(RATE_HZ)
    parts = band_split(tone, EDGES, RATE_HZ)
    # The Hann window keeps the tone within a few hertz, well inside the band.
    np.testing.assert_allclose(parts[band], tone, rtol=0, atol=1e-3)


def test_bands_fade_into_each_other_around_the_edge():
    hz = 1000 * 2 ** (OVERLAP_OCTAVES * np.array([-0.6, -0.25, 0, 0.25, 0.6]))
    below, above = band_responses(hz, [1000])
    np.testing.assert_allclose(above, [0, np.sin(np.pi / 8) ** 2, 0.5, np.cos(np.pi / 8) ** 2, 1])
    np.testing.assert_allclose(below, 1 - above)


def test_the_end_of_a_signal_does_not_reach_its_start():
    click = np.zeros(2000)
    click[-1] = 1
    parts = band_split(click, EDGES, RATE_HZ)
    assert np.abs(parts[:, :200]).max() < 1e-4


def test_a_weighted_sum_is_that_of_the_parts():
    signal = np.random.default_rng(1).standard_normal((2, 3000))
    weights = np.array([0.5, 0, 1, 2, 0.1])
    parts = band_split(signal, EDGES, RATE_HZ)
    expected = np.tensordot(weights, parts, 1)
    got = band_sum(signal, weights, EDGES, RATE_HZ)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)  # rounding in float64
