"""Notes that are played with recordings, as dry stems."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cmss.rendering.notation import Note
from cmss.rendering.tones import Performer, Style, looped, voices
from tests.support.tiny_material import OFF, RATE_HZ, sine, tiny_material


def pitches(tones) -> set[int]:
    return {tone.midi for tone in tones}


def test_two_players_have_two_libraries():
    tones = [sine(60 + n, library=library) for library in "ab" for n in range(4)]
    for seed in range(10):
        first, second = voices(tones, 2, True, np.random.default_rng(seed))
        assert {first[0].library, second[0].library} == {"a", "b"}
        first, second = voices(tones, 2, False, np.random.default_rng(seed))
        assert first == second


def test_two_players_of_one_library_have_different_notes():
    tones = [sine(60 + n) for n in range(7)]
    first, second = voices(tones, 2, True, np.random.default_rng(0))
    assert pitches(first) | pitches(second) == set(range(60, 67))
    assert not pitches(first) & pitches(second)


def test_a_library_with_several_notes_of_a_pitch_does_not_displace_the_others():
    one_take = [sine(60 + n, library="one take") for n in range(12)]
    takes = [sine(60 + n, library="takes") for n in range(13) for _ in range(7)]
    sparse = [sine(60 + 12 * n, library="sparse") for n in range(2) for _ in range(30)]
    used = [
        voice[0].library
        for seed in range(200)
        for voice in voices(one_take + takes + sparse, 1, True, np.random.default_rng(seed))
    ]
    assert "sparse" not in used  # these notes would be shifted by up to six semitones
    # 200 draws with probability 1/2: the standard deviation is 7.
    assert abs(used.count("one take") - 100) < 40


def test_a_library_with_several_layers_is_not_used_more_often():
    tones = [
        sine(60 + n, library=library, dynamic=dynamic)
        for library, dynamics in (("a", "pf"), ("b", "f"), ("c", "f"))
        for dynamic in dynamics
        for n in range(4)
    ]
    counts = Counter()
    for seed in range(300):
        chosen = voices(tones, 3, True, np.random.default_rng(seed))
        assert sorted(voice[0].library for voice in chosen) == ["a", "b", "c"]
        assert all(len({tone.dynamic for tone in voice}) == 1 for voice in chosen)
        counts[chosen[0][0].library, chosen[0][0].dynamic] += 1
    # 300 draws with probability 1/3 or 1/6: the standard deviations are 8 and 6.5.
    for layer, expected in (("b", "f"), 100), (("c", "f"), 100), (("a", "p"), 50), (("a", "f"), 50):
        assert abs(counts[layer] - expected) < 40
    # Four players: the fourth one gets the second layer of the only library that has two.
    four = voices(tones, 4, True, np.random.default_rng(0))
    assert len({(voice[0].library, voice[0].dynamic) for voice in four}) == 4


def test_a_note_sounds_at_its_pitch_and_time_whatever_the_recording():
    note = Note(0.5, 1.0, 66)
    stem = Performer(RATE_HZ).play(
        "Viola", [sine(64.3)], [note], 2 * RATE_HZ, Style(), OFF, np.random.default_rng(0)
    )
    assert not stem[: RATE_HZ // 2].any()
    assert not stem[int(1.7 * RATE_HZ) :].any()
    part = stem[int(0.6 * RATE_HZ) : int(1.4 * RATE_HZ)]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 2**18))
    hz = spectrum.argmax() * RATE_HZ / 2**18
    assert hz == pytest.approx(440 * 2 ** (-3 / 12), rel=3e-4)


def test_a_note_that_is_longer_than_its_recording_goes_on():
    tone = sine(57, seconds=0.5)
    stem = Performer(RATE_HZ).play(
        "Cello", [tone], [Note(0.0, 4.0, 57)], 4 * RATE_HZ, Style(), OFF, np.random.default_rng(0)
    )
    frames = stem[RATE_HZ // 10 : int(3.5 * RATE_HZ)]
    levels = np.sqrt(np.mean(frames[: len(frames) // 1000 * 1000].reshape(-1, 1000) ** 2, axis=1))
    assert levels.min() > 0.8 * levels.max()


@pytest.mark.parametrize("tone", [sine(50, 0.2), sine(90, 0.1), sine(36, 0.05)])
def test_loops_do_not_depend_on_the_requested_length(tone):
    short, long = (looped(tone, seconds * RATE_HZ, RATE_HZ) for seconds in (2, 5))
    assert len(short) >= 2 * RATE_HZ
    np.testing.assert_array_equal(short[:RATE_HZ], long[:RATE_HZ])


def test_a_part_does_not_depend_on_what_was_played_before():
    voice = tiny_material().tones["Violin"]
    notes = [Note(0.3 * n, 0.4, 70 + n, slurred=bool(n % 2)) for n in range(6)]
    used, fresh = Performer(RATE_HZ), Performer(RATE_HZ)
    effects = replace(OFF, dynamics_db=6.0, drift_cents=5.0)
    style = Style(vibrato_cents=20.0, noise=0.05, softness=0.5, variety_semitones=1.2)

    def play(performer):
        rng = np.random.default_rng(1)
        return performer.play("Violin", voice, notes, 3 * RATE_HZ, style, effects, rng)

    for midi in (60, 75, 90):
        used.play("Violin", voice, [Note(0, 5, midi)], 5 * RATE_HZ, style, effects,
                  np.random.default_rng(midi))  # fmt: skip
    np.testing.assert_array_equal(play(used), play(fresh))


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100])
@pytest.mark.parametrize("slurred", [False, True])
def test_a_note_may_begin_just_before_the_end(rate_hz, slurred):
    """Soft, with all effects; the filters of soft notes are longer than such a note."""
    effects = replace(OFF, dynamics_db=8.0, drift_cents=8.0, vibrato_cents=35.0)
    style = Style(vibrato_cents=30.0, noise=0.05, softness=1.0, spread_cents=5.0)
    tone = replace(sine(70), attack=200)
    for left in range(40):
        note = Note(0.5, 2.0, 70, level_db=-15.0, slurred=slurred)
        samples = int(0.5 * rate_hz) + left
        stem = Performer(rate_hz).play(
            "Viola", [tone], [note], samples, style, effects, np.random.default_rng(left)
        )
        assert stem.shape == (samples,)
        assert np.isfinite(stem).all()
    assert stem.any()
