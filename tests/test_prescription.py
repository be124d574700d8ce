import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.hearing.prescription import COMPRESSOR_FREQUENCIES_HZ, compression_from_audiogram

AUDIOGRAM_HZ = (250, 500, 1000, 2000, 3000, 4000, 6000, 8000)


def test_the_one_example_published_with_the_challenge_is_reproduced():
    levels = (45, 45, 35, 45, 60, 65, 70, 65)
    frequencies, ratios, gains = compression_from_audiogram(AUDIOGRAM_HZ, levels)
    assert frequencies == (250, 500, 1000, 2000, 4000, 8000)
    assert ratios == (2.1, 1.5, 1.3, 1.5, 2.4, 3.7)
    assert gains == (9.6, 11.9, 12.9, 16.4, 19.0, 28.0)


def test_nothing_is_done_for_an_ear_without_loss():
    _, ratios, gains = compression_from_audiogram(AUDIOGRAM_HZ, (0,) * 8)
    assert ratios == (1.0,) * 6
    assert gains == (0.0,) * 6


def test_more_loss_is_given_more_gain():
    gains = [
        compression_from_audiogram(AUDIOGRAM_HZ, (loss,) * 8)[2] for loss in (20, 30, 40, 50, 60)
    ]
    assert np.all(np.diff(gains, axis=0) >= 0)
    assert np.all(np.subtract(gains[-1], gains[0]) > 5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 22), min_size=8, max_size=8))
def test_ratios_and_gains_stay_in_bounds(steps):
    levels = [5 * step for step in steps]
    _, ratios, gains = compression_from_audiogram(AUDIOGRAM_HZ, levels)
    assert len(ratios) == len(gains) == len(COMPRESSOR_FREQUENCIES_HZ)
    assert all(1 <= ratio <= 6 for ratio in ratios)
    # 65 dB in and at most 100 dB out
    assert all(0 <= gain <= 35 for gain in gains)


def test_the_highest_ratio_is_cut_at_six_to_one():
    _, ratios, _ = compression_from_audiogram(AUDIOGRAM_HZ, (10, 10, 10, 20, 60, 90, 110, 110))
    assert max(ratios) == pytest.approx(6.0)


def test_audiograms_measured_at_other_frequencies_are_interpolated():
    dense = (125, 250, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000, 8000)
    levels = np.interp(np.log(dense), np.log(AUDIOGRAM_HZ), (20, 20, 25, 35, 40, 45, 50, 55))
    close = compression_from_audiogram(dense, levels.tolist())
    plain = compression_from_audiogram(AUDIOGRAM_HZ, (20, 20, 25, 35, 40, 45, 50, 55))
    np.testing.assert_allclose(close[2], plain[2], atol=0.5)
