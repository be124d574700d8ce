"""Sharing out by power in long windows: what it promises, and what flutter it takes away."""

import numpy as np
import pytest

from cmss.separators.steps.chain import Stepped
from cmss.separators.steps.partials import Partials
from tests.support.separation import RATE_HZ, Fixed, noise, sources


def sharing(*estimates: np.ndarray, window: int = 32768) -> Stepped:
    return Stepped(Fixed(*estimates), [Partials(window)])


def sdr(estimates, truth: np.ndarray) -> float:
    error = np.sum((np.stack(list(estimates)) - truth) ** 2)
    return float(10 * np.log10(np.sum(truth**2) / error))


def test_masks_that_flutter_are_steadied_where_partials_lie_apart():
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    truth = np.stack(
        [
            np.tile(sum(np.sin(2 * np.pi * n * hz * time) for n in range(1, 6)), (2, 1))
            for hz in (310.0, 347.0)
        ]
    ).astype(np.float32)
    # One share for all frequencies, another every 50 ms: 0.5 to 1 of a player is in its estimate.
    shares = np.repeat(np.random.default_rng(0).uniform(0.5, 1, 40), RATE_HZ // 20)
    guess = (shares * truth + (1 - shares) * truth[::-1]).astype(np.float32)
    stems = sharing(*guess).separate(truth.sum(0), sources("Oboe", "Flute"))
    # Mean shares of 3/4 and 1/4 have powers 9 to 1, which leaves an error of 17 dB below the truth
    # at the partials, and some of the flutter beside them.
    assert sdr(guess, truth) < 9
    assert sdr(stems.values(), truth) > 15


@pytest.mark.parametrize("samples", [1, 1000, 44100])
def test_stems_sum_to_the_mixture(samples):
    mixture = noise(samples)
    stems = sharing(noise(samples, seed=2), mixture).separate(mixture, sources("Oboe", "Flute"))
    # Rounding to float32.
    np.testing.assert_allclose(sum(stems.values()), mixture, rtol=0, atol=3e-6)


def test_silence_stays_silent_and_silence_alone_is_shared_equally():
    mixture = noise(20000)
    silence = np.zeros_like(mixture)
    stems = sharing(mixture, silence).separate(mixture, sources("Oboe", "Flute"))
    np.testing.assert_array_equal(stems["source_2"], silence)
    stems = sharing(silence, silence).separate(mixture, sources("Oboe", "Flute"))
    for stem in stems.values():
        np.testing.assert_allclose(stem, mixture / 2, rtol=0, atol=3e-6)


def test_levels_do_not_matter():
    mixture, estimate = noise(20000), noise(20000, seed=3)
    track = sources("Oboe", "Flute")
    loud = sharing(estimate, mixture).separate(mixture, track)
    quiet = sharing(1e-4 * estimate, 1e-4 * mixture).separate(np.float32(1e-4) * mixture, track)
    # Float32 rounding of inputs and outputs.
    np.testing.assert_allclose(1e4 * quiet["source_1"], loud["source_1"], rtol=0, atol=1e-4)
