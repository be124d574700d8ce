"""The generalised Wiener filter: against its formula written out, and what it promises."""

import numpy as np
import pytest

from cmss.separators.bounds import Passthrough
from cmss.separators.steps.chain import Stepped
from cmss.separators.steps.wiener import FLOOR, Wiener
from tests.support.separation import RATE_HZ, Fixed, noise, sources, spectra


def filtered(separator, iterations: int) -> Stepped:
    return Stepped(separator, [Wiener(iterations)])


def written_out(x: np.ndarray, y: np.ndarray, iterations: int) -> np.ndarray:
    """Bin by bin and frame by frame, as the papers have it."""
    sources, channels, bins, frames = y.shape
    floor = FLOOR * np.mean(np.abs(x) ** 2) / sources
    for _ in range(iterations):
        new = np.zeros_like(y)
        for f in range(bins):
            v = (np.abs(y[:, :, f]) ** 2).mean(1)
            R = [
                sum(np.outer(y[j, :, f, t], y[j, :, f, t].conj()) for t in range(frames))
                / v[j].sum()
                for j in range(sources)
            ]
            for t in range(frames):
                C = [v[j, t] * R[j] + floor * np.eye(channels) for j in range(sources)]
                for j in range(sources):
                    new[j, :, f, t] = C[j] @ np.linalg.inv(sum(C)) @ x[:, f, t]
        y = new
    return y


@pytest.mark.parametrize("iterations", [1, 3])
def test_equals_the_formula_written_out(iterations):
    x, y = spectra(2, 5, 7), spectra(3, 2, 5, 7, seed=2)
    expected = written_out(x.numpy(), y.numpy(), iterations)
    # Float64; the two ways of inverting differ by some rounding, once per iteration.
    step = Wiener(iterations)
    got = step.apply(x, y, step.learn(x, y))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-8)


@pytest.mark.parametrize("channels", ["stereo", "mono", "one silent"])
@pytest.mark.parametrize("iterations", [1, 2])
def test_estimates_sum_to_the_mixture(channels, iterations):
    """Whatever the estimates are: none of them near the mixture, one of them silent."""
    mixture = noise(RATE_HZ // 4)
    if channels == "mono":
        mixture[1] = mixture[0]
    elif channels == "one silent":
        mixture[1] = 0
    estimates = [mixture, noise(RATE_HZ // 4, seed=2), np.zeros_like(mixture)]
    track = sources("Violin_1", "Violin_2", "Oboe")
    stems = filtered(Fixed(*estimates), iterations).separate(mixture, track)
    assert list(stems) == list(track)
    total = sum(stem.astype(float) for stem in stems.values())
    # Float32 stems of a mixture that reaches 4; a covariance of two equal channels is inverted to
    # some 1e-16 / FLOOR.
    np.testing.assert_allclose(total, mixture, rtol=0, atol=3e-6)


def test_players_on_two_sides_are_told_apart_by_the_estimates_image_alone():
    """Both estimates have the same spectrum; each leans to its side by 12 dB of the true stems."""
    left, right = (noise(RATE_HZ // 2, seed=seed)[0] for seed in (1, 2))
    truth = np.stack([np.stack([left, left / 4]), np.stack([right / 4, right])])
    stems = filtered(Fixed(*truth[:, :, ::-1]), 1).separate(truth.sum(0), sources("Oboe", "Flute"))
    # Time-reversed estimates say nothing about when, only where. Two microphones, two sources:
    # what remains is the powers' scatter over bins and frames, which the reversed estimates have
    # of their own; -10 dB is met with a margin of some decibels.
    for stem, true in zip(stems.values(), truth, strict=True):
        assert np.sum((stem - true) ** 2) < 0.1 * np.sum(true**2)


def test_true_stems_in_good_stems_out():
    """Panned noises: power and image known, the estimates improve on the mixture by 20 dB."""
    left, right = (noise(RATE_HZ // 2, seed=seed)[0] for seed in (1, 2))
    truth = np.stack([np.stack([left, 0.5 * left]), np.stack([0.5 * right, right])])
    stems = filtered(Fixed(*truth), 1).separate(truth.sum(0), sources("Oboe", "Flute"))
    for stem, true in zip(stems.values(), truth, strict=True):
        assert np.sum((stem - true) ** 2) < 0.01 * np.sum(true**2)


@pytest.mark.parametrize("samples", [1, 5, 1000, 4096, 44100])
def test_an_impulse_stays_at_its_sample_at_any_length(samples):
    mixture = np.zeros((2, samples), np.float32)
    mixture[:, samples // 3] = 1
    refining = filtered(Fixed(0.5 * mixture, 0.25 * mixture), 1)
    stems = refining.separate(mixture, sources("Oboe", "Flute"))
    # Powers 4 to 1.
    np.testing.assert_allclose(stems["source_1"], 0.8 * mixture, rtol=0, atol=1e-6)
    np.testing.assert_allclose(stems["source_2"], 0.2 * mixture, rtol=0, atol=1e-6)


def test_silence_in_silence_out():
    silence = np.zeros((2, 5000), np.float32)
    for estimate in (silence, noise(5000)):
        stems = filtered(Fixed(estimate, silence), 1).separate(silence, sources("Oboe", "Flute"))
        for stem in stems.values():
            np.testing.assert_array_equal(stem, silence)


def test_levels_do_not_matter():
    mixture, estimate = noise(20000), noise(20000, seed=3)
    track = sources("Oboe", "Flute")
    loud = filtered(Fixed(estimate, mixture), 2).separate(mixture, track)
    quiet = filtered(Fixed(1e-4 * estimate, 1e-4 * mixture), 2).separate(
        np.float32(1e-4) * mixture, track
    )
    # Float32 rounding of inputs and outputs.
    np.testing.assert_allclose(1e4 * quiet["source_1"], loud["source_1"], rtol=0, atol=1e-5)


def test_the_separator_inside_is_what_loads_and_is_named():
    inside = Fixed(noise())
    refining = filtered(inside, 1)
    refining.prepare(sources("Oboe").values())
    assert inside.prepared == ["Oboe"]
    assert refining.weights == inside.weights
    assert refining.sample_rate_hz == RATE_HZ


def test_what_takes_nothing_apart_is_left_alone():
    assert filtered(Passthrough(RATE_HZ), 1).separate(noise(), sources("Oboe")) == {}
