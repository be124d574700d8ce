"""Of two players of the same instrument, the first one has the upper part."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.errors import InputError
from cmss.separators import build_separator
from cmss.separators.blocks import InBlocks
from cmss.separators.upper_first import UpperFirst, interval
from tests.support.separation import RATE_HZ, Fixed, noise, sources

SILENCE = np.zeros((2, RATE_HZ), np.float32)


def tone(midi: float, rate_hz: int = RATE_HZ, seconds: float = 0.6, harmonics: int = 6):
    """A harmonic tone in both channels, whose partials fall by 6 dB for each octave."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    hz = 440 * 2 ** ((midi - 69) / 12)
    partials = [n for n in range(1, harmonics + 1) if n * hz < 0.45 * rate_hz]
    wave = sum(np.sin(2 * np.pi * n * hz * t + n) / n for n in partials)
    return np.stack((wave, 0.5 * wave)).astype(np.float32)


def ordered(labels, *estimates) -> list[np.ndarray]:
    track = sources(*labels)
    stems = UpperFirst(Fixed(*estimates)).separate(noise(), track)
    assert [*stems] == [*track]
    return [*stems.values()]


# A tone at a pitch of the challenge's instruments, from Bb1 to C6, through soxr at every rate.
@settings(max_examples=25, deadline=None)
@given(
    st.floats(36, 84),
    st.floats(36, 84),
    st.sampled_from([16000, 22050, 32000, 44100, 48000]),
    st.floats(0.01, 100),
)
def test_the_interval_between_two_tones(one, other, rate_hz, louder):
    found = interval(tone(one, rate_hz), np.float32(louder) * tone(other, rate_hz), rate_hz)
    # A period is a whole number of samples at 22.05 kHz: half a sample is 0.4 semitones at C6.
    assert found == pytest.approx(one - other, abs=0.9)


@settings(max_examples=25, deadline=None)
# The interval is measured to half a semitone, see above.
@given(st.floats(40, 70), st.floats(3, 16), st.booleans())
def test_the_higher_estimate_becomes_the_first_whatever_the_order(low, distance, exchanged):
    upper, lower = tone(low + distance), tone(low)
    given_order = (lower, upper) if exchanged else (upper, lower)
    first, cello, second = ordered(
        ["Violin_1", "Cello", "Violin_2"], given_order[0], tone(90), given_order[1]
    )
    assert first is upper
    assert second is lower
    np.testing.assert_array_equal(cello, tone(90))


@pytest.mark.parametrize("distance", [-1.0, 1.0])
def test_players_less_than_two_semitones_apart_stay(distance):
    pair = tone(60), tone(60 + distance)
    assert [id(x) for x in ordered(["Oboe_1", "Oboe_2"], *pair)] == [id(x) for x in pair]


def test_the_order_of_the_sources_does_not_matter():
    low, high = tone(60), tone(67)
    second, first = ordered(["Sax_2", "Sax_1"], high, low)
    assert second is low
    assert first is high


def test_two_doubled_instruments_are_put_in_order_separately():
    a, b, c, d = (tone(midi) for midi in (60, 72, 70, 58))
    assert [id(x) for x in ordered(["Viola_1", "Oboe_1", "Viola_2", "Oboe_2"], a, b, c, d)] == [
        id(x) for x in (c, b, a, d)
    ]


@pytest.mark.parametrize(
    "labels", [("Violin", "Viola"), ("Violin_1", "Viola_2"), ("Flute_2", "Oboe_1")]
)
def test_players_of_different_instruments_are_never_exchanged(labels):
    low, high = tone(50), tone(70)
    first, second = ordered(labels, low, high)
    assert first is low
    assert second is high


@pytest.mark.parametrize("second", [SILENCE, noise(RATE_HZ), tone(60, seconds=1)])
def test_equal_or_silent_estimates_stay(second):
    """Where half of a common estimate is the estimate of each player, there is no order."""
    for pair in ((second, second.copy()), (SILENCE, second), (second, SILENCE)):
        assert [id(x) for x in ordered(["Violin_1", "Violin_2"], *pair)] == [id(x) for x in pair]


@pytest.mark.parametrize("samples", [1, 100, 4095])
def test_estimates_shorter_than_a_frame(samples):
    pair = tone(60)[:, :samples], tone(67)[:, :samples]
    assert len(ordered(["Violin_1", "Violin_2"], *pair)) == 2


def test_passages_of_one_player_alone_do_not_count():
    """The second player rests while the first one has low notes, and is lower when both play."""
    first = np.concatenate((tone(55, seconds=2), tone(72)), 1)
    second = np.concatenate((np.zeros_like(tone(55, seconds=2)), tone(65)), 1)
    assert interval(first, second, RATE_HZ) == pytest.approx(7, abs=0.9)


def test_a_mixture_without_stems_stays_without_stems():
    separator = build_separator({"name": "passthrough", "upper_first": True}, RATE_HZ)
    assert separator.separate(noise(), sources("Violin_1", "Violin_2")) == {}


def test_long_recordings_are_put_in_order_block_by_block():
    steps = [{"name": "directions"}]
    settings = {"name": "passthrough", "steps": steps, "upper_first": True}
    separator = build_separator(settings, RATE_HZ)
    assert isinstance(separator, InBlocks)
    assert isinstance(separator.separator, UpperFirst)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"separator\.upper_first: 'yes', expected true or false"):
        build_separator({"name": "oracle", "upper_first": "yes"}, RATE_HZ)
    causal = {"name": "passthrough", "causality": "causal", "upper_first": True}
    with pytest.raises(InputError, match=r"separator\.upper_first: .*expected false"):
        build_separator(causal, RATE_HZ)
