import numpy as np
import pytest
from scipy.optimize import minimize

from cmss.errors import InputError
from cmss.training.fitting import WeightFit

RATE_HZ = 8000
RNG = np.random.default_rng(0)
STEM, OTHER, THIRD = RNG.standard_normal((3, 2, 4000))


def fitted(estimates, stem, edges=(), prior=1e-6):
    fit = WeightFit(len(estimates), edges, RATE_HZ, [prior])
    fit.add("duet", "Oboe", estimates, stem)
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
    """Two tracks of equal energy one after the other are the same as one."""
    first, second = (np.s_[:, :2000], np.s_[:, 2000:])
    level = np.linalg.norm(STEM[first]) / np.linalg.norm(STEM[second])
    stem, other, third = STEM.copy(), OTHER.copy(), THIRD.copy()
    stem[second] *= level
    fit = WeightFit(2, (), RATE_HZ)
    for half in (first, second):
        fit.add("duet", "Oboe", [(stem + third)[half], (other + stem)[half]], stem[half])
    whole = fitted([stem + third, other + stem], stem)
    np.testing.assert_allclose(fit.weights()["Oboe"], whole, rtol=1e-9)


def test_the_prior_is_the_plain_average():
    """With no bounds active, w = (P + prior D)^-1 (q + prior D a)."""
    estimates = [STEM + OTHER, STEM + 0.5 * THIRD]
    rows = np.reshape(estimates, (2, -1))
    products, wanted = rows @ rows.T, rows @ STEM.reshape(-1)
    ridge = 0.3 * np.trace(products) / 2 * np.eye(2)
    expected = np.linalg.solve(products + ridge, wanted + ridge @ [0.5, 0.5])
    np.testing.assert_allclose(fitted(estimates, STEM, prior=0.3)[:, 0], expected, rtol=1e-9)
    # Far from the data's own, where the prior outweighs them.
    np.testing.assert_allclose(fitted(estimates, STEM, prior=1e6)[:, 0], 0.5, atol=1e-5)


def test_a_soft_source_counts_as_much_as_a_loud_one():
    fit = WeightFit(1, (), RATE_HZ)
    fit.add("duet", "Oboe", [1e3 * STEM], 1e3 * STEM)
    fit.add("duet", "Oboe", [2 * OTHER], OTHER)
    # Least squares of w = 1 and 2 w = 1.
    assert fit.weights()["Oboe"][0, 0] == pytest.approx(0.6, abs=1e-5)


def test_a_silent_estimate_gets_what_the_prior_says_and_a_silent_source_says_nothing():
    fit = WeightFit(2, (), RATE_HZ)
    fit.add("duet", "Oboe", [0 * STEM, 0 * STEM], STEM)
    fit.add("duet", "Oboe", [STEM, OTHER], 0 * STEM)
    assert fit.weights()["Oboe"][:, 0] == pytest.approx(0.5)


def test_instruments_do_not_meet():
    fit = WeightFit(1, (), RATE_HZ)
    fit.add("duet", "Oboe", [STEM], STEM)
    fit.add("duet", "Cello", [STEM], 0.5 * STEM)
    weights = fit.weights()
    assert list(weights) == ["Cello", "Oboe"]
    assert weights["Cello"][0, 0] == pytest.approx(0.5, abs=1e-5)


def noisy(seed: int, truth: np.ndarray, noise: float) -> tuple[list, np.ndarray]:
    """Three estimates, noises; and the stem, their sum weighted by `truth` and further noise."""
    draw = np.random.default_rng(seed)
    estimates = list(draw.standard_normal((3, 2, 20)))
    return estimates, np.tensordot(truth, estimates, 1) + noise * draw.standard_normal((2, 20))


def fit_of_tracks(truth: list, tracks: int, noise: float, priors: list) -> WeightFit:
    fit = WeightFit(3, (), RATE_HZ, priors)
    for seed in range(tracks):
        fit.add(f"track_{seed}", "Oboe", *noisy(seed, np.array(truth), noise))
    return fit


def test_the_prior_is_weak_where_tracks_agree_and_strong_where_they_say_nothing():
    priors = [1e-3, 1.0]
    assert fit_of_tracks([0.8, 0.1, 0.0], 5, 0.1, priors).prior() == 1e-3
    # The true weights are those of the average; deviations of single tracks are noise.
    assert fit_of_tracks([1 / 3, 1 / 3, 1 / 3], 5, 2.0, priors).prior() == 1.0


def test_the_left_out_error_is_that_of_weights_fitted_without_a_track():
    fit = fit_of_tracks([0.8, 0.1, 0.3], 3, 2.0, [0.5])
    estimates, stem = zip(
        *(noisy(seed, np.array([0.8, 0.1, 0.3]), 2.0) for seed in range(3)), strict=True
    )
    errors = []
    for out in range(3):
        others = WeightFit(3, (), RATE_HZ, [0.5])
        for seed in {0, 1, 2} - {out}:
            others.add("any", "Oboe", estimates[seed], stem[seed])
        estimate = np.tensordot(others.weights()["Oboe"][:, 0], estimates[out], 1)
        errors.append(np.square(estimate - stem[out]).sum() / np.square(stem[out]).sum())
    # Sums over 40 samples, added in another order.
    assert fit.left_out_error(0.5) == pytest.approx(np.mean(errors), rel=1e-9)


def test_an_instrument_of_one_track_has_the_plain_average_there():
    fit = WeightFit(2, (), RATE_HZ, [0.1, 1.0])
    fit.add("duet", "Oboe", [STEM, OTHER], STEM)
    error = np.square((STEM + OTHER) / 2 - STEM).sum() / np.square(STEM).sum()
    assert fit.left_out_error(0.1) == pytest.approx(error)


@pytest.mark.parametrize("priors", [[], [0.1, 0.0], [-1.0]])
def test_priors_that_cannot_be_are_refused(priors):
    with pytest.raises(InputError, match=r"priors: .*expected numbers above 0"):
        WeightFit(2, (), RATE_HZ, priors)
