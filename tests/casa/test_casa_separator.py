"""`separator=casa` on instruments whose templates are known."""

import numpy as np
import pytest

from cmss.separators import build_separator
from cmss.separators.casa import CASASeparator
from tests.support.learned_templates import play, sdr_db
from tests.support.separation import RATE_HZ, sources


@pytest.fixture(scope="module")
def separator(learned) -> CASASeparator:
    settings = {"name": "casa", "weights_from": str(learned["kl"])}
    return build_separator(settings, RATE_HZ)


def stem(instrument: str, seconds: float, seed: int) -> np.ndarray:
    return np.stack([play(instrument, seconds, seed)] * 2)


def test_instruments_are_told_apart(separator):
    """5.8 dB in 8 s; in the mixture 0 dB."""
    stems = [stem("Oboe", 4, seed=5), stem("Cello", 4, seed=6)]
    estimates = separator.separate(stems[0] + stems[1], sources("Oboe", "Cello"))
    for true, estimate in zip(stems, estimates.values(), strict=True):
        assert sdr_db(true, estimate) > 4


def test_five_players_of_a_second(separator):
    players = sources("Oboe_1", "Cello_1", "Oboe_2", "Cello_2", "Oboe_3")
    mixture = stem("Oboe", 1, seed=2) + stem("Cello", 1, seed=3)
    estimates = separator.separate(mixture, players)
    assert list(estimates) == list(players)
    # Float32.
    np.testing.assert_allclose(sum(estimates.values()), mixture, rtol=0, atol=1e-6)


def test_scale_in_scale_out(separator):
    mixture = stem("Oboe", 1, seed=2) + stem("Cello", 1, seed=3)
    players = sources("Oboe", "Cello")
    loud = separator.separate(mixture, players)
    for gain in (2.0**-12, 2.0**6):  # exact
        scaled = separator.separate(np.float32(gain) * mixture, players)
        for key, expected in loud.items():
            np.testing.assert_allclose(scaled[key], gain * expected, rtol=1e-5, atol=1e-7 * gain)


def test_opposite_channels_cancel_in_what_is_heard_and_are_shared(separator):
    mixture = stem("Oboe", 1, seed=2) * np.array([[1], [-1]], np.float32)
    for estimate in separator.separate(mixture, sources("Oboe", "Cello")).values():
        np.testing.assert_allclose(estimate, mixture / 2, rtol=0, atol=1e-6)
