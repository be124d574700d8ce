"""Simultaneous harmonic complexes are grouped into separate notes."""

import numpy as np
import pytest

from cmss.casa.gammatone import delay_samples, gammatone
from cmss.casa.grouping import NO_NOTE, find_notes, group
from cmss.casa.pitch import PitchTrack
from cmss.casa.units import CENTRES_HZ, LAGS, SAMPLE_RATE_HZ, Units

SECONDS = 1.0
TIME = np.arange(round(SECONDS * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
HOP = SAMPLE_RATE_HZ // 100


def complex_tone(first_hz: float, last_hz: float) -> np.ndarray:
    """Twelve harmonics gliding from one pitch to the other, steady if both are equal."""
    phase = np.cumsum(np.geomspace(first_hz, last_hz, len(TIME))) / SAMPLE_RATE_HZ
    return sum(np.sin(2 * np.pi * k * phase + k**2) / k for k in range(1, 13))


def powers(signal: np.ndarray) -> np.ndarray:
    """(channels, frames) of a source alone."""
    padded = np.pad(signal, (0, 2000))
    envelopes = np.abs(gammatone(padded, CENTRES_HZ, SAMPLE_RATE_HZ)) ** 2
    delays = delay_samples(CENTRES_HZ, SAMPLE_RATE_HZ)
    return np.stack([e[d : d + len(signal) : HOP] for e, d in zip(envelopes, delays, strict=True)])


def separated_db(one: np.ndarray, other: np.ndarray) -> list[float]:
    """Return the ratio of each source's power to the other's in the units of its notes, in dB."""
    owners, tracks = find_notes(one + other, players=2)
    levels = [powers(one), powers(other)]
    owners = owners[:, : levels[0].shape[1]]
    notes = [owners == number for number in range(len(tracks))]
    results = []
    for mine, others in (levels, levels[::-1]):
        # A note belongs to the source that has most power in its units.
        chosen = [note for note in notes if mine[note].sum() > others[note].sum()]
        mask = np.any(chosen, axis=0)
        results.append(10 * np.log10(mine[mask].sum() / others[mask].sum()))
    return results


@pytest.mark.parametrize(("one", "other", "least_db"), [
    # Measured: 15.5 and 6.6 dB of steady tones, 5.2 and 9.2 dB of glides. Units shared
    # at random would have 0 dB of each.
    ((200, 200), (310, 310), (13, 5.5)),
    ((200, 260), (420, 330), (4, 8)),
])  # fmt: skip
def test_two_harmonic_complexes_come_apart(one, other, least_db):
    found = separated_db(complex_tone(*one), complex_tone(*other))
    assert found[0] > least_db[0]
    assert found[1] > least_db[1]


def test_a_tone_alone_is_one_note_of_its_pitch():
    owners, tracks = find_notes(complex_tone(220, 220), players=2)
    lags = [lag for track in tracks for lag in track.lags.values()]
    # A sample in 73 is a quarter of a semitone.
    assert abs(np.median(lags) - SAMPLE_RATE_HZ / 220) <= 1
    assert (owners >= 0).mean() > 0.5


def test_silence_has_no_notes():
    owners, tracks = find_notes(np.zeros(SAMPLE_RATE_HZ), players=2)
    assert tracks == []
    assert (owners == NO_NOTE).all()


def test_any_level_is_heard_alike():
    tones = complex_tone(200, 200) + complex_tone(310, 310)
    owners, tracks = find_notes(tones, players=2)
    for gain in (2.0**-20, 2.0**20):  # exact
        same, again = find_notes(gain * tones, players=2)
        np.testing.assert_array_equal(same, owners)
        assert again == tracks


def test_what_has_no_pitch_goes_with_what_begins_with_it():
    """Three units: one has the period of the note; of the two others, one has its onset."""
    frames, lag = 40, 80
    periodicity = np.zeros((3, frames, LAGS), np.float32)
    periodicity[0, :, lag] = 1
    numbers = np.full((3, frames), -1)
    numbers[0, 10:30], numbers[1, 11:30], numbers[2, 20:30] = 0, 1, 2
    track = PitchTrack(dict.fromkeys(range(10, 30), lag))
    owners = group(Units(periodicity, numbers >= 0), numbers, [track])
    np.testing.assert_array_equal(owners[:2] == 0, numbers[:2] >= 0)
    assert (owners[2] == NO_NOTE).all()
