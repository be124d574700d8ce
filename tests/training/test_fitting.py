import numpy as np
import pytest
from scipy.optimize import minimize

from cmss.training.fitting import WeightFit

RATE_HZ = 8000
RNG = np.random.default_rng(0)
STEM, OTHER, THIRD = RNG.standard_normal((3, 2, 4000))


def fitted(estimates, stem, edges=()):
    fit = WeightFit(len(estimates), edges, RATE_HZ)
    fit.add("Oboe", estimates, stem)
    return fit.weights()["Oboe"]


def test_what_was_mixed_is_found():
    stem = 0.7 * STEM + 0.2 * OTHER
    # The ridge moves a weight by about a millionth.
    np.testing.assert_allclose(fitted([STEM, OTHER, THIRD], stem)[:, 0], [0.7, 0.2, 0], atol=1e-5)


def test_what_was_mixed_in_each_band_is_found():
    from cmss.transforms.band_split import band_split

    low, high = band_split(STEM, [1000], RATE_HZ)
    weights = fitted([STEM, OTHER], 0.9 * low + 0.1 * high, [1000])
    np.testing.assert_allclose(weights, [[0.9, 0.1], [0, 0]], atol=1e-4)


def test_weights_are_not_negative_and_the_best_of_those():
    stem = STEM - 0.5 * OTHER
    estimates = [STEM + 0.3 * OTHER, OTHER, 0.2 * STEM + THIRD]
    weights = fitted(estimates, stem)[:, 0]

    def error(w):
        return np.square(np.tensordot(w, estimates, 1) - stem).sum()

    other = minimize(error, np.full(3, 0.3), bounds=[(0, None)] * 3).x
    assert weights.min() >= 0
    assert error(weights) <= error(other) * (1 + 1e-6)


def test_a_noisy_estimate_is_trusted_by_its_share_of_the_energy():
    """The Wiener gain: signal and noise of equal power, so one half."""
    weights = fitted([STEM + OTHER], STEM)
    # Noise of 8000 samples correlates by a hundredth or so.
    assert weights[0, 0] == pytest.approx(0.5, abs=0.02)


def test_members_that_are_alike_share_the_weight():
    np.testing.assert_allclose(fitted([STEM, STEM], STEM)[:, 0].sum(), 1, atol=1e-5)


def test_tracks_add_up():
    """Two tracks one after the other are the same as one."""
    fit = WeightFit(2, (), RATE_HZ)
    for half in (slice(0, 2000), slice(2000, None)):
        fit.add("Oboe", [(STEM + THIRD)[:, half], (OTHER + STEM)[:, half]], STEM[:, half])
    whole = fitted([STEM + THIRD, OTHER + STEM], STEM)
    np.testing.assert_allclose(fit.weights()["Oboe"], whole, rtol=1e-9)


def test_silence_gives_no_weight():
    assert (fitted([0 * STEM], STEM) == 0).all()


def test_instruments_do_not_meet():
    fit = WeightFit(1, (), RATE_HZ)
    fit.add("Oboe", [STEM], STEM)
    fit.add("Cello", [STEM], 0.5 * STEM)
    weights = fit.weights()
    assert list(weights) == ["Cello", "Oboe"]
    assert weights["Cello"][0, 0] == pytest.approx(0.5, abs=1e-5)
