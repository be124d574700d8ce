"""Two players of the same instrument differ less if they have hardly been separated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.errors import InputError
from cmss.separators import build_separator
from cmss.separators.blocks import InBlocks
from cmss.separators.shrink_doubled import ShrinkDoubled, contrast
from tests.support.separation import RATE_HZ, Fixed, noise, sources

SILENCE = np.zeros((2, 5000), np.float32)


def shrunk(labels, *estimates) -> list[np.ndarray]:
    track = sources(*labels)
    stems = ShrinkDoubled(Fixed(*estimates)).separate(noise(5000), track)
    assert [*stems] == [*track]
    return [*stems.values()]


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(-60, 20))
def test_the_sum_is_kept_and_the_difference_shrinks(leak, leak_2, gain_db):
    """Whatever the estimates have of each other, at any level."""
    scale = 10 ** (gain_db / 20)
    a, b = scale * noise(5000, seed=1), scale * noise(5000, seed=2)
    first, second = (1 - leak) * a + leak_2 * b, leak * a + (1 - leak_2) * b
    first, second = first.astype(np.float32), second.astype(np.float32)
    got = shrunk(["Oboe_1", "Oboe_2"], first, second)
    np.testing.assert_allclose(got[0] + got[1], first + second, rtol=0, atol=2e-6 * scale)
    expected = contrast(first, second) * (first - second)
    np.testing.assert_allclose(got[0] - got[1], expected, rtol=0, atol=2e-6 * scale)


@pytest.mark.parametrize("leak", [0.0, 0.1, 0.25, 0.5, 0.75])
def test_contrast_of_estimates_that_leak_into_each_other(leak):
    a, b = noise(200000, seed=1), noise(200000, seed=2)
    first, second = (1 - leak) * a + leak * b, leak * a + (1 - leak) * b
    # The difference is 1 - 2 leak times a - b, and a and b are not correlated: 1 % for 4e5 samples.
    assert contrast(first, second) == pytest.approx((1 - 2 * leak) ** 2, abs=0.01)


def test_shrinking_pays_where_estimates_are_exchanged_as_often_as_they_are_alike():
    """The mean error over right and exchanged estimates, of players who leak into each other."""
    a, b = noise(5000, seed=1), noise(5000, seed=2)
    leak = 0.3
    first, second = (1 - leak) * a + leak * b, leak * a + (1 - leak) * b
    got = shrunk(["Oboe_1", "Oboe_2"], first, second)

    def mean_error(pair) -> float:
        return sum(
            np.square(pair[i] - truth[i]).sum() for truth in ((a, b), (b, a)) for i in (0, 1)
        )

    assert mean_error(got) < mean_error((first, second))


def test_equal_silent_and_separated_estimates_stay():
    tone = noise(5000)
    apart = np.concatenate([tone, SILENCE], 1), np.concatenate([SILENCE, tone], 1)
    for pair in ((tone, tone.copy()), (SILENCE, tone), (tone, SILENCE), (SILENCE, SILENCE), apart):
        for stem, expected in zip(shrunk(["Violin_2", "Violin_1"], *pair), pair, strict=True):
            np.testing.assert_allclose(stem, expected, rtol=0, atol=1e-7)


def test_each_doubled_instrument_has_a_contrast_of_its_own():
    a, b, c = noise(5000, seed=1), noise(5000, seed=2), noise(5000, seed=3)
    got = shrunk(["Viola_1", "Oboe_1", "Viola_2", "Oboe_2", "Cello"], a, c, b, c.copy(), b)
    np.testing.assert_allclose(got[0], a, rtol=0, atol=0.05 * np.abs(a).max())
    np.testing.assert_array_equal(got[1], c)
    assert got[4] is b


@pytest.mark.parametrize(
    "labels", [("Violin", "Viola"), ("Violin_1", "Viola_2"), ("Flute_2", "Oboe_1")]
)
def test_players_of_different_instruments_stay(labels):
    one, other = noise(5000), noise(5000, seed=2) + noise(5000)
    first, second = shrunk(labels, one, other)
    assert first is one
    assert second is other


def test_a_mixture_without_stems_stays_without_stems():
    separator = build_separator({"name": "passthrough", "shrink_doubled": True}, RATE_HZ)
    assert separator.separate(noise(), sources("Violin_1", "Violin_2")) == {}


def test_long_recordings_are_processed_block_by_block():
    steps = [{"name": "directions"}]
    settings = {"name": "passthrough", "steps": steps, "shrink_doubled": True}
    separator = build_separator(settings, RATE_HZ)
    assert isinstance(separator, InBlocks)
    assert isinstance(separator.separator, ShrinkDoubled)


def test_settings_that_do_not_fit_are_refused():
    expected = r"separator\.shrink_doubled: 'yes', expected true or false"
    with pytest.raises(InputError, match=expected):
        build_separator({"name": "oracle", "shrink_doubled": "yes"}, RATE_HZ)
    causal = {"name": "passthrough", "causality": "causal", "shrink_doubled": True}
    with pytest.raises(InputError, match=r"separator\.shrink_doubled: .*expected false"):
        build_separator(causal, RATE_HZ)
