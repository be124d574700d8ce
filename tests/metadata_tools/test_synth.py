import numpy as np
import pytest

from cmss.rendering.notation import RANGES
from metadata_tools.notes.synthesiser import TIMBRES, make_bank, spectrum_db, tone, vary
from tests.support.measure import pitch_midi


@pytest.mark.parametrize("instrument", TIMBRES)
def test_a_tone_has_its_pitch_and_level(instrument):
    midi = sum(RANGES[instrument]) // 2
    sound = tone(TIMBRES[instrument], midi, np.random.default_rng(2))
    assert pitch_midi(sound[20000:70000], midi) == pytest.approx(midi, abs=0.05)
    level_db = 10 * np.log10(np.mean(sound[20000:70000].astype(float) ** 2))
    assert level_db == pytest.approx(-20, abs=1)
    assert np.abs(sound).max() < 0.9


def test_no_partial_lies_above_the_audible():
    power = np.abs(np.fft.rfft(tone(TIMBRES["Violin"], 90, np.random.default_rng(1)))) ** 2
    above = power[int(len(power) * 16 / 22.05) :].sum()
    assert above < 1e-6 * power.sum()


def test_the_clarinet_lacks_its_low_even_partials():
    levels = spectrum_db(TIMBRES["Clarinet"], 200.0, 8)
    assert levels[1] < min(levels[0], levels[2]) - 8


def test_instruments_differ():
    def shape(name):
        return spectrum_db(TIMBRES[name], 300.0, 12)

    names = list(TIMBRES)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert np.abs(shape(first) - shape(second)).max() > 2


def test_a_note_does_not_depend_on_the_rest_of_the_bank():
    wide = make_bank(("Oboe", "Sax"), seed=1, spacing_semitones=16)
    narrow = make_bank(("Sax",), seed=1, spacing_semitones=16)
    np.testing.assert_array_equal(wide["Sax"][0].samples, narrow["Sax"][0].samples)


@pytest.mark.parametrize("instrument", TIMBRES)
def test_another_specimen_is_itself_without_variety_and_near_it_with(instrument):
    usual = TIMBRES[instrument]
    assert vary(usual, 0.0, np.random.default_rng(1)) == usual
    levels = [
        spectrum_db(vary(usual, 1.0, np.random.default_rng(seed)), 220.0, 12) for seed in range(20)
    ]
    spread = np.std([level - level[0] for level in levels], axis=0)[1:]
    # Heard, and less than what lies between two instruments.
    assert (spread > 0.5).all()
    assert spread.mean() < 8
