from dataclasses import replace

import numpy as np
import pytest

from cmss.errors import InputError
from cmss.rendering.notation import Note
from cmss.rendering.notes import recording
from metadata_tools.notes.synthesiser import TIMBRES, tone
from metadata_tools.rendering.sampler import Player, Sampler, random_player
from tests.support.measure import SAMPLE_RATE_HZ, pitch_midi


def play(bank, instrument, notes, seconds, player=None, seed=0):
    samples = int(seconds * SAMPLE_RATE_HZ)
    return Sampler(bank).play(instrument, notes, samples, np.random.default_rng(seed), player)


def level_db(signal):
    return 10 * np.log10(np.mean(np.asarray(signal, float) ** 2) + 1e-20)


def at(signal, start_s, stop_s):
    return signal[int(start_s * SAMPLE_RATE_HZ) : int(stop_s * SAMPLE_RATE_HZ)]


@pytest.mark.parametrize(("instrument", "low"), [("Violin", 58), ("Bassoon", 40)])
@pytest.mark.parametrize("off_cents", [0.0, -38.0, 27.0])
def test_pitch_is_right_within_5_cents(instrument, low, off_cents):
    # Recorded out of tune by a known amount, written into the bank as measured.
    midi = low + 5
    samples = tone(TIMBRES[instrument], midi + off_cents / 100, np.random.default_rng(1))
    bank = {instrument: (recording("one", midi, off_cents, "f", samples),)}
    for target in (midi - 3, midi, midi + 2):
        stem = play(bank, instrument, [Note(0.1, 2.5, target)], 3.0)
        assert pitch_midi(at(stem, 0.5, 2.4), target) == pytest.approx(target, abs=0.05)


def test_the_players_detuning_is_heard(bank):
    stem = play(bank, "Violin", [Note(0.1, 2.5, 70)], 3.0, Player(detune_cents=20))
    assert pitch_midi(at(stem, 0.5, 2.4), 70) == pytest.approx(70.20, abs=0.05)


def test_vibrato_swings_the_pitch_but_not_its_mean(bank):
    player = Player(vibrato_cents=20, vibrato_hz=5)
    stem = play(bank, "Violin", [Note(0.1, 3.5, 70)], 4.0, player)
    straight = play(bank, "Violin", [Note(0.1, 3.5, 70)], 4.0)
    # Over whole periods of the vibrato the mean is left.
    assert pitch_midi(at(stem, 0.8, 2.6), 70) == pytest.approx(70, abs=0.05)
    assert level_db(stem - straight) > level_db(straight) - 15


def test_a_long_note_outlasts_its_recording_at_the_same_level(bank):
    stem = play(bank, "Bassoon", [Note(0.0, 7.0, 50)], 7.5)  # recordings last 2 s
    levels = [level_db(at(stem, t, t + 0.25)) for t in np.arange(0.5, 6.4, 0.25)]
    assert max(levels) - min(levels) < 4
    assert pitch_midi(at(stem, 4.0, 6.0), 50) == pytest.approx(50, abs=0.05)


def dip_db(bank, **second):
    """How far the level falls between two notes, against what comes before."""
    notes = [Note(0.1, 0.6, 67), Note(0.7, 0.6, 69, **second)]
    stem = play(bank, "Violin", notes, 1.6)
    before = level_db(at(stem, 0.3, 0.55))
    around = [level_db(at(stem, t, t + 0.02)) for t in np.arange(0.6, 0.85, 0.01)]
    return before - min(around)


def test_slurred_notes_are_not_attacked_again(bank):
    slurred, detached = dip_db(bank, slurred=True), dip_db(bank)
    assert slurred < 4
    assert detached > slurred + 4


def test_nothing_clicks(bank):
    # The steepest step of overlapping notes is not far above that of the steady sound.
    notes = [Note(0.2 * i, 0.2, 60 + i % 5, slurred=i % 3 > 0) for i in range(10)]
    stem = play(bank, "Violin", notes, 2.5)
    steady = play(bank, "Violin", [Note(0.0, 2.5, 62)], 2.5)
    steps = np.abs(np.diff(stem, 2)).max()
    assert steps < 2 * np.abs(np.diff(at(steady, 0.5, 2.0), 2)).max()


def test_louder_notes_are_louder_and_soft_ones_darker(bank):
    soft_player = Player(softness=1.0)
    soft = play(bank, "Violin", [Note(0, 1, 67, level_db=-10)], 1.0, soft_player)
    loud = play(bank, "Violin", [Note(0, 1, 67, level_db=0)], 1.0, soft_player)
    plain = play(bank, "Violin", [Note(0, 1, 67, level_db=-10)], 1.0)
    assert level_db(loud) - level_db(plain) == pytest.approx(10, abs=0.5)

    def treble_share(stem):
        power = np.abs(np.fft.rfft(stem)) ** 2
        return power[int(len(power) * 0.2) :].sum() / power.sum()  # above 4.4 kHz

    assert treble_share(soft) < 0.5 * treble_share(plain)


def test_the_same_seed_gives_the_same_stem_whatever_was_played_before(bank):
    notes = [Note(0.3 * i, 0.4, 60 + i, level_db=-i) for i in range(8)] + [Note(3, 3, 64)]
    rng = np.random.default_rng
    player = random_player("Violin", bank["Violin"], rng(4))
    used = Sampler(bank)
    used.play("Violin", [Note(0, 9, 58), Note(0, 5, 64)], 400000, rng(9), player)
    samples = 6 * SAMPLE_RATE_HZ
    again = used.play("Violin", notes, samples, rng(7), player)
    fresh = Sampler(bank).play("Violin", notes, samples, rng(7), player)
    np.testing.assert_array_equal(again, fresh)
    assert np.abs(fresh - play(bank, "Violin", notes, 6, player, seed=8)).max() > 1e-3


def test_notes_outside_the_stem_are_cut(bank):
    stem = play(bank, "Violin", [Note(0.5, 9, 60), Note(5, 1, 60)], 1.0)
    assert stem.shape == (44100,)
    assert np.all(stem[: int(0.45 * 44100)] == 0)


def test_another_dynamic_layer_is_used_where_the_bank_has_it(bank):
    (first, *_) = bank["Violin"]
    silent = replace(first, name="p", dynamic="p", samples=np.zeros_like(first.samples))
    both = {"Violin": (first, silent)}
    note = [Note(0, 1, first.midi)]
    assert np.abs(play(both, "Violin", note, 1, Player(dynamic="f"))).max() > 0.01
    assert np.abs(play(both, "Violin", note, 1, Player(dynamic="p"))).max() == 0


def test_an_instrument_without_recordings_is_refused(bank):
    with pytest.raises(InputError, match="no recorded note of Oboe"):
        play(bank, "Oboe", [], 1.0)
