"""Stages of HAAQI that replace a library's function, compared with that function."""

import numpy as np
import pytest
from clarity.evaluator.haspi import eb
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from cmss.errors import InputError
from cmss.hearing.haaqi.alignment import Aligner
from cmss.hearing.haaqi.filterbank import (
    CENTER_FREQUENCIES_HZ,
    HearingLoss,
    audiometric_levels_db,
    equalising_delays,
)
from cmss.hearing.haaqi.front_end import advance, at_model_rate
from cmss.hearing.haaqi.noise import NormalDeviates
from cmss.hearing.haaqi.vector_math import fast_exp, fast_log
from cmss.scenes import Audiogram


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    words=st.integers(0, 700),
    spare=st.booleans(),
    counts=st.lists(st.integers(0, 3000), min_size=1, max_size=4),
    skipped=st.booleans(),
)
def test_deviates_and_states_are_numpys(seed, words, spare, counts, skipped):
    """Start at any position in the generator's block, with and without a spare deviate."""
    np.random.seed(seed)
    np.random.randint(0, 2**32, words, dtype=np.uint32)
    if spare:
        np.random.standard_normal()
    before = np.random.get_state()
    ours = NormalDeviates()
    for count in counts:
        expected = np.random.standard_normal(count)
        if skipped:
            ours.skip(count)
        else:
            drawn = np.empty(count)
            ours.fill(drawn)
            np.testing.assert_allclose(drawn, expected, rtol=1e-13)
    after = np.random.get_state()
    np.random.set_state(before)
    ours.store()
    np.testing.assert_equal(np.random.get_state(), after)


def test_another_generator_is_refused():
    original = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        with pytest.raises(InputError, match="must be MT19937, got PCG64"):
            NormalDeviates()
    finally:
        np.random.set_bit_generator(original)


@njit(error_model="numpy")
def apply(x, logarithms, exponentials):
    for n in range(x.size):
        logarithms[n] = fast_log(x[n])
        exponentials[n] = fast_exp(logarithms[n])


def test_vector_logarithm_and_exponential():
    x = 10 ** np.random.default_rng(0).uniform(-280, 280, 10_000)
    x[:1000] = np.linspace(0.9, 1.1, 1000)
    logarithms, exponentials = np.empty_like(x), np.empty_like(x)
    apply(x, logarithms, exponentials)
    np.testing.assert_allclose(logarithms, np.log(x), rtol=5e-16, atol=1e-16)
    np.testing.assert_allclose(exponentials, np.exp(np.log(x)), rtol=2e-15 + 2e-16 * 650)


SIGNALS = {
    "noise": lambda t, rng: rng.standard_normal(len(t)),
    "tone": lambda t, _: np.sin(2 * np.pi * 440 * t) * np.exp(-t),
    "slow envelope": lambda t, _: 1 + 0.01 * np.sin(2 * np.pi * 2 * t + 1),
    "fading envelope": lambda t, _: np.exp(-0.1 * t),
    "silence": lambda t, _: np.zeros(len(t)),
}


@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("samples", [500, 5000, 60_000])
@pytest.mark.parametrize("shift", [-2000, -1, 0, 77])
def test_delays_are_those_of_the_full_correlation(kind, samples, shift):
    rng = np.random.default_rng(0)
    signal = SIGNALS[kind](np.arange(samples) / 24000, rng)
    processed = 0.3 * np.roll(signal, shift) + 1e-6 * abs(shift) * rng.standard_normal(samples)
    reference = SIGNALS["noise" if kind == "silence" else kind](np.arange(samples) / 24000, rng)
    reference = signal if kind == "noise" else reference
    aligner = Aligner(samples)
    aligner.set_reference(reference)
    advanced = processed.copy()
    advance(advanced, aligner.delay(processed))
    np.testing.assert_array_equal(advanced, eb.envelope_align(reference, processed))


def test_parameters_of_the_ear_are_pyclaritys():
    levels_db = np.array([-10.0, 20.0, 35.0, 120.0, 60.0, 80.0])
    np.testing.assert_array_equal(CENTER_FREQUENCIES_HZ, eb.center_frequency(32))
    outer, bandwidth, knee, ratio, inner = eb.loss_parameters(levels_db, CENTER_FREQUENCIES_HZ)
    ours = HearingLoss.at(levels_db)
    np.testing.assert_allclose(ours, [outer, inner, bandwidth, knee, ratio], rtol=1e-14, atol=1e-13)


def test_audiograms_are_interpolated_over_log_frequency_and_held_at_the_ends():
    levels_db = audiometric_levels_db(Audiogram((500.0, 2000.0), (10.0, 30.0)))
    np.testing.assert_allclose(levels_db, [10, 10, 20, 30, 30, 30])


@pytest.mark.parametrize("rate_hz", [16000, 22050, 44100, 48000])
def test_resampling_is_pyclaritys_but_for_silence(rate_hz):
    signal = np.random.default_rng(0).standard_normal(rate_hz // 5)
    expected, _ = eb.resample_24khz(signal, rate_hz)
    np.testing.assert_allclose(at_model_rate(signal, rate_hz), expected, rtol=0, atol=1e-13)
    assert not np.any(at_model_rate(np.zeros(1000), rate_hz))


def test_wider_filters_delay_less():
    """The slowest band, which is the lowest, needs no equalising delay."""
    narrow, wide = equalising_delays(np.ones(32)), equalising_delays(np.full(32, 2.0))
    assert narrow.min() == wide.min() == 0
    assert narrow[0] == 0  # the lowest band is the slowest
    assert np.all(np.diff(narrow) >= 0)
    assert wide.max() < narrow.max()


@pytest.mark.parametrize("delay", [-12, -10, -3, 0, 4, 10, 15])
def test_advancing_moves_in_zeros(delay):
    signal = np.arange(1.0, 11.0)
    padded = np.concatenate((np.zeros(20), signal, np.zeros(20)))
    advance(signal, delay)
    np.testing.assert_array_equal(signal, padded[20 + delay : 30 + delay])
