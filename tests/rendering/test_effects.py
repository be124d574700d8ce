"""Effects on notes, pitch, level and samples of rendered mixtures."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import hilbert

from cmss.rendering.effects import (
    CONTROL_HZ,
    against_habit,
    anywhere_in_range,
    apart,
    at_width,
    band_noise,
    drift,
    dynamics,
    overlapped,
    vibrato,
    with_noise,
)
from cmss.rendering.notation import RANGES, Note, typed
from cmss.rendering.tones import Performer, Style
from tests.support.tiny_material import OFF, RATE_HZ, sine


def played(style: Style, effects=OFF, seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    """A note of 440 Hz, played with a recorded sine of the same pitch."""
    rng = np.random.default_rng(seed)
    note = Note(0.0, seconds, 69)
    samples = int(seconds * RATE_HZ)
    return Performer(RATE_HZ).play("Violin", [sine(69)], [note], samples, style, effects, rng)


def cents(signal: np.ndarray) -> np.ndarray:
    """Deviation of the instantaneous frequency from 440 Hz, without the ends of the note."""
    phase = np.unwrap(np.angle(hilbert(signal)))
    smooth = np.convolve(np.diff(phase), np.ones(200) / 200, mode="valid")
    hz = smooth[int(0.7 * RATE_HZ) : int(2.4 * RATE_HZ)] * RATE_HZ / (2 * np.pi)
    return 1200 * np.log2(hz / 440)


@pytest.mark.parametrize("depth_cents", [10.0, 35.0, 80.0])
def test_vibrato_moves_the_instantaneous_frequency_by_its_depth(depth_cents):
    deviation = cents(played(Style(vibrato_cents=depth_cents)))
    # The depth varies between 60 and 100 % of the setting.
    assert 0.6 * depth_cents - 1 < deviation.max() < 1.02 * depth_cents + 1
    assert 0.6 * depth_cents - 1 < -deviation.min() < 1.02 * depth_cents + 1


def test_vibrato_has_its_rate_and_begins_late():
    curve = vibrato(10.0, 30.0, 6.0, np.random.default_rng(1))
    crossings = np.sum(np.diff(np.sign(curve[50:])) > 0)
    assert crossings / (len(curve[50:]) / CONTROL_HZ) == pytest.approx(6.0, rel=0.1)
    assert np.all(curve[:5] == 0)


def test_without_vibrato_and_drift_the_pitch_is_steady():
    assert np.abs(cents(played(Style()))).max() < 0.5


def test_the_tuning_drifts_by_the_stated_deviation():
    curves = [drift(20.0, 8.0, np.random.default_rng(n)) for n in range(200)]
    assert np.std(curves) == pytest.approx(8.0, rel=0.1)
    # It is slow: within 10 ms the tuning moves by a small part of the deviation.
    assert np.abs(np.diff(curves, axis=1)).max() < 0.1 * 8.0


def test_the_frequency_of_a_long_note_follows_the_drift():
    steady, drifting = (played(Style(), replace(OFF, drift_cents=value)) for value in (0.0, 20.0))
    expected = drift(3.0, 20.0, np.random.default_rng(0))
    time = 0.7 + (np.arange(len(cents(steady))) + 100) / RATE_HZ
    difference = cents(drifting) - np.interp(time * CONTROL_HZ, np.arange(len(expected)), expected)
    assert np.abs(difference).max() < 1.5


@pytest.mark.parametrize("seed", range(8))
def test_the_level_within_a_note_changes_by_at_most_the_setting(seed):
    curve = dynamics(2.0, 9.0, np.random.default_rng(seed))
    assert np.ptp(curve) <= 9.0
    assert np.ptp(dynamics(0.1, 9.0, np.random.default_rng(seed))) <= 0.9 + 1e-9


def test_bound_notes_sound_into_the_next_note_and_rests_stay():
    notes = (Note(0.0, 0.5, 60), Note(0.5, 0.5, 62), Note(1.5, 0.5, 64))
    first, second, third = overlapped(notes, 1.0, 0.1, np.random.default_rng(0))
    assert 0.5 < first.onset_s + first.duration_s <= 0.6
    assert second.slurred
    assert second.duration_s == 0.5  # a rest follows
    assert not third.slurred
    assert overlapped(notes, 0.0, 0.1, np.random.default_rng(0)) == notes


def test_players_are_apart_by_the_stated_deviation():
    notes = tuple(Note(1.0 + n, 0.5, 60) for n in range(20))
    moved = [
        note.onset_s - before.onset_s
        for seed in range(300)
        for note, before in zip(apart(notes, 0.03, np.random.default_rng(seed)), notes, strict=True)
    ]
    assert np.std(moved) == pytest.approx(0.03, rel=0.1)
    assert apart(notes, 0.0, np.random.default_rng(0)) == notes


def test_noise_has_the_stated_level_and_follows_the_tone():
    rng = np.random.default_rng(0)
    tone = played(Style())
    tone[len(tone) // 2 :] = 0
    added = with_noise(tone, 0.1, band_noise(len(tone), 2000.0, RATE_HZ, rng), RATE_HZ) - tone
    half = slice(2000, len(tone) // 2 - 2000)
    ratio = np.sqrt(np.mean(added[half] ** 2) / np.mean(tone[half] ** 2))
    assert ratio == pytest.approx(0.1, rel=0.1)
    assert np.abs(added[len(tone) // 2 + 2000 :]).max() < 1e-6
    spectrum = np.abs(np.fft.rfft(added)) ** 2
    hz = np.fft.rfftfreq(len(added), 1 / RATE_HZ)
    assert spectrum[(hz > 1000) & (hz < 4000)].sum() > 0.75 * spectrum.sum()


def test_width_goes_from_mono_to_wide():
    stem = np.random.default_rng(0).standard_normal((2, 100)).astype(np.float32)
    mono, same, wide = (at_width(stem, width) for width in (0.0, 1.0, 1.5))
    np.testing.assert_array_equal(mono[0], mono[1])
    np.testing.assert_allclose(same, stem, atol=1e-6)
    np.testing.assert_allclose(wide[0] - wide[1], 1.5 * (stem[0] - stem[1]), atol=1e-5)
    np.testing.assert_allclose(wide.sum(0), stem.sum(0), atol=1e-5)


# Roles against habit.

STRINGS = ("Violin_1", "Violin_2", "Viola", "Cello")
QUARTET = [typed(text) for text in ("A5 B5 C6", "E5 D5 E5", "C4 D4 E4", "G2 A2 B2")]


def height(part) -> float:
    return float(np.mean([note.midi for note in part]))


def test_against_habit_every_order_occurs_within_the_ranges():
    players = ("Violin", "Clarinet", "Viola", "Cello")
    orders, unisons = set(), 0
    for seed in range(300):
        given = against_habit(QUARTET, players, RANGES, np.random.default_rng(seed))
        for name, part in given.items():
            low, high = RANGES[name]
            assert all(low <= note.midi <= high for note in part)
        orders.add(tuple(sorted(players, key=lambda name: -height(given[name]))))
        pitches = [tuple(note.midi for note in part) for part in given.values()]
        unisons += len(set(pitches)) < len(pitches)
    assert len(orders) >= 20  # of 24; a cello above all others is rare
    assert any(order.index("Viola") < order.index("Violin") for order in orders)
    assert unisons > 5


def test_against_habit_the_first_of_two_players_has_the_upper_part():
    orders = set()
    for seed in range(300):
        given = against_habit(QUARTET, STRINGS, RANGES, np.random.default_rng(seed))
        # Four parts for four players: nobody plays the part of the other violin.
        assert height(given["Violin_1"]) > height(given["Violin_2"])
        orders.add(tuple(sorted(STRINGS, key=lambda name: -height(given[name]))))
    assert len(orders) >= 10  # of 12


def test_a_part_is_transposed_to_any_octave_in_which_it_fits():
    part = typed("C4 D4 E4")
    lowest = {
        anywhere_in_range(part, 48, 86, 1, np.random.default_rng(n))[0].midi for n in range(50)
    }
    assert lowest == {49, 61, 73}
    shifted = anywhere_in_range(part, 48, 86, 1, np.random.default_rng(0))
    assert np.all(np.diff([note.midi for note in shifted]) == 2)


def test_without_notes_all_parts_are_empty():
    assert against_habit([(), ()], STRINGS, RANGES, np.random.default_rng(0)) == dict.fromkeys(
        STRINGS, ()
    )
