"""HAAQI without pyclarity: meaning of its values, errors, undefined scores."""

import math

import numpy as np
import pytest
from clarity.utils.audiogram import Audiogram as PyclarityAudiogram

from cmss.errors import InputError
from cmss.hearing.haaqi import compute_haaqi, haaqi_components, haaqi_of_several
from cmss.scenes import Audiogram

RATE_HZ = 24000
LEVELS_DB = (20.0, 25.0, 30.0, 40.0, 45.0, 50.0, 55.0, 60.0)
FREQUENCIES_HZ = (250.0, 500.0, 1000.0, 2000.0, 3000.0, 4000.0, 6000.0, 8000.0)
AUDIOGRAM = Audiogram(FREQUENCIES_HZ, LEVELS_DB)


def noise(seconds=0.4, seed=0):
    rng = np.random.default_rng(seed)
    swell = np.repeat(rng.uniform(0.1, 1, int(seconds * 20)), RATE_HZ // 20)
    return 0.1 * swell * rng.standard_normal(len(swell))


def score(processed, reference, audiogram=AUDIOGRAM, level1=100.0):
    np.random.seed(3)
    return compute_haaqi(processed, reference, RATE_HZ, RATE_HZ, audiogram, 2, level1)


def test_identical_signals_score_almost_one():
    # Not exactly 1: with components of 1 the score is 0.336 + 0.001 + 0.501 + 0.161 = 0.999.
    assert score(noise(), noise()) == pytest.approx(0.999, abs=0.003)


def test_more_noise_scores_less():
    reference = noise()
    disturbance = noise(seed=1)
    scores = [score(reference + gain * disturbance, reference) for gain in (0, 0.1, 0.5, 2)]
    assert scores == sorted(scores, reverse=True)


def test_the_components_make_up_the_index():
    np.random.seed(3)
    result = haaqi_components(noise(seed=1), noise(), RATE_HZ, RATE_HZ, AUDIOGRAM, 2, 100.0)
    nonlinear = 0.754 * result.cepstral_correlation**3 + 0.246 * result.bm_synchrony
    linear = 0.329 * result.d_loud + 0.671 * result.d_norm
    index = 0.336 * nonlinear + 0.001 * linear + 0.501 * nonlinear**2 + 0.161 * linear**2
    assert (result.nonlinear, result.linear, result.score) == (nonlinear, linear, index)
    assert result.score == score(noise(seed=1), noise())


def test_both_kinds_of_audiogram_are_understood():
    peers = PyclarityAudiogram(np.array(LEVELS_DB), np.array(FREQUENCIES_HZ))
    assert score(noise(seed=1), noise(), peers) == score(noise(seed=1), noise())


def test_the_signals_are_left_alone():
    processed, reference = noise(seed=1), noise()
    for signal in (processed, reference):
        signal.flags.writeable = False
    score(processed, reference)


def test_empty_signals():
    assert score([], []) == 1
    assert score(noise(), []) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_scores_nan(bad):
    broken = noise()
    broken[100] = bad
    assert math.isnan(score(broken, noise()))
    assert math.isnan(score(noise(), broken))
    assert math.isnan(score(noise(), noise(), level1=bad))
    assert math.isnan(score(noise(), noise(), Audiogram(FREQUENCIES_HZ, (bad,) * 8)))


def test_a_silent_reference_scores_nan():
    assert math.isnan(score(noise(), np.zeros_like(noise())))


def test_an_undefined_score_does_not_touch_the_others():
    broken = np.full(len(noise()), np.nan)
    np.random.seed(3)
    signals = [broken, noise(seed=1)]
    first, last = haaqi_of_several(signals, noise(), RATE_HZ, RATE_HZ, AUDIOGRAM, 2, 100.0)
    assert math.isnan(first.score)
    assert last.score == score(noise(seed=1), noise())


@pytest.mark.parametrize(
    ("processed", "message"),
    [
        (noise()[:300], "less than 16 ms"),
        (np.zeros((2, 9600)), r"expected signals of one ear, \(samples,\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(processed, message):
    with pytest.raises(InputError, match=message):
        score(processed, noise())


def test_an_unknown_equalisation_is_refused():
    with pytest.raises(InputError, match="equalisation: expected 1"):
        compute_haaqi(noise(), noise(), RATE_HZ, RATE_HZ, AUDIOGRAM, 0)
