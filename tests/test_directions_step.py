"""Sorting by direction: against its formula written out, and what directions can tell."""

from itertools import product

import numpy as np
import pytest

from cmss.separators.steps.directions import Directions
from cmss.transforms.angular_gaussian import NEIGHBOURS, SPREAD
from cmss.transforms.masks import MASK_FLOOR
from tests.support.separation import RATE_HZ, Fixed, noise, sorting, sources, spectra


def written_out(x: np.ndarray, y: np.ndarray, iterations: int, weight: float) -> np.ndarray:
    """Bin by bin and frame by frame, as the papers have it; matrices by numpy.linalg."""
    sources, channels, bins, frames = y.shape
    level = np.linalg.norm(x, axis=0)
    z = x / level
    magnitude = np.sqrt(np.mean(np.abs(y) ** 2, axis=1))
    prior = magnitude / magnitude.sum(0) + MASK_FLOOR
    share = prior / prior.sum(0)
    for _ in range(iterations):
        posterior = prior.copy()
        for j, f, wide in product(range(sources), range(bins), NEIGHBOURS):
            near = range(max(0, f - wide), min(bins, f + wide + 1))
            B = sum(
                share[j, g, t] ** 2 * level[g, t] * np.outer(z[:, g, t], z[:, g, t].conj())
                for g in near
                for t in range(0, frames, 3)  # frames from which directions are learned
            )
            B = 2 * B / np.trace(B).real + SPREAD * np.eye(channels)
            for t in range(frames):
                d = (z[:, f, t].conj() @ np.linalg.inv(B) @ z[:, f, t]).real
                density = 1 / np.linalg.det(B).real / d**channels
                posterior[j, f, t] *= density ** (weight / len(NEIGHBOURS))
        share = posterior / posterior.sum(0)
    return share[:, None] * x


@pytest.mark.parametrize(("iterations", "weight"), [(1, 1.0), (3, 0.5), (2, 0.0)])
def test_equals_the_formula_written_out(iterations, weight):
    x, y = spectra(2, 45, 7), spectra(3, 2, 45, 7, seed=2)
    expected = written_out(x.numpy(), y.numpy(), iterations, weight)
    step = Directions(iterations, weight)
    got = step.apply(x, y.clone(), step.learn(x, y))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-8)


def two_places() -> np.ndarray:
    """Two players (2, 2, samples), left and right, whose partials lie apart."""
    time = np.arange(RATE_HZ) / RATE_HZ
    low, high = (
        sum(np.sin(2 * np.pi * n * hz * time + n) for n in range(1, 9)).astype(np.float32)
        for hz in (310.0, 493.0)
    )
    return np.stack([np.stack([low, 0.4 * low]), np.stack([0.4 * high, high])])


def test_directions_tell_apart_what_the_estimates_hardly_do():
    truth = two_places()
    guess = 0.6 * truth + 0.4 * truth[::-1]
    stems = sorting(Fixed(*guess)).separate(truth.sum(0), sources("Oboe", "Flute"))

    def sdr(estimates) -> float:
        error = np.sum((np.stack(list(estimates)) - truth) ** 2)
        return float(10 * np.log10(np.sum(truth**2) / error))

    # Directions count as much as the estimates, no more, so shares of 0.6 do not become 1.
    assert sdr(stems.values()) > sdr(guess) + 3


def test_one_direction_for_all_leaves_the_estimates_as_they_are():
    left, right = noise(RATE_HZ, seed=1)[0], noise(RATE_HZ, seed=2)[0]
    middle = np.stack([np.stack([x, x]) for x in (left, right)])
    mixture = middle.sum(0)
    apart = sorting(Fixed(*middle), weight=1.0).separate(mixture, sources("Oboe", "Flute"))
    unsorted = sorting(Fixed(*middle), weight=0.0).separate(mixture, sources("Oboe", "Flute"))
    for stem, other in zip(apart.values(), unsorted.values(), strict=True):
        np.testing.assert_allclose(stem, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 1000, 44100])
def test_stems_sum_to_the_mixture(samples):
    mixture = noise(samples)
    stems = sorting(Fixed(noise(samples, seed=2), mixture)).separate(
        mixture, sources("Oboe", "Flute")
    )
    # Rounding to float32.
    np.testing.assert_allclose(sum(stems.values()), mixture, rtol=0, atol=3e-6)


def test_what_is_estimated_as_silent_stays_silent():
    mixture = noise(20000)
    silence = np.zeros_like(mixture)
    stems = sorting(Fixed(mixture, silence)).separate(mixture, sources("Oboe", "Flute"))
    np.testing.assert_array_equal(stems["source_2"], silence)
    np.testing.assert_allclose(stems["source_1"], mixture, rtol=0, atol=3e-6)


def test_levels_do_not_matter():
    mixture, estimate = noise(20000), noise(20000, seed=3)
    track = sources("Oboe", "Flute")
    loud = sorting(Fixed(estimate, mixture)).separate(mixture, track)
    quiet = sorting(Fixed(1e-4 * estimate, 1e-4 * mixture)).separate(
        np.float32(1e-4) * mixture, track
    )
    # Float32 rounding of inputs and outputs.
    np.testing.assert_allclose(1e4 * quiet["source_1"], loud["source_1"], rtol=0, atol=1e-4)


def test_two_players_that_share_an_estimate_still_do():
    mixture, one = noise(20000), noise(20000, seed=3)
    stems = sorting(Fixed(one, one, mixture)).separate(
        mixture, sources("Violin_1", "Violin_2", "Cello")
    )
    np.testing.assert_array_equal(stems["source_1"], stems["source_2"])
