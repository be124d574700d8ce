import csv
import shutil

import numpy as np
import pytest
import soundfile

from cmss.errors import InputError
from cmss.rendering.arrange import playable_range
from cmss.rendering.held_out import kept_pitches
from cmss.rendering.notation import RANGES
from cmss.rendering.notes import hold_out, read_bank
from cmss.scenes import INSTRUMENTS


@pytest.fixture(scope="module")
def recorded(notes_folder):
    return read_bank(notes_folder)


def test_the_bank_has_the_eight_instruments(recorded):
    assert tuple(recorded) == tuple(RANGES) == INSTRUMENTS


def test_attack_and_sustain_are_found(recorded):
    for notes in recorded.values():
        for note in notes:
            assert note.attack < 0.3 * 44100  # the synthesiser's slowest attack is 0.18 s
            assert note.sustain_end > len(note.samples) - 0.2 * 44100


def test_held_out_pitches_are_a_quarter_and_never_shared(recorded):
    test, train = hold_out(recorded, 4, held_out=True), hold_out(recorded, 4, held_out=False)
    for instrument, notes in recorded.items():
        everything = {note.midi for note in notes}
        kept, held = ({n.midi for n in side[instrument]} for side in (train, test))
        assert not kept & held
        assert kept | held == everything
        assert abs(len(held) - len(everything) / 4) <= 1
        assert {n.name for n in train[instrument]}.isdisjoint(n.name for n in test[instrument])


def test_all_layers_of_a_held_out_pitch_are_held_out():
    # Pitches, not files, are counted: three layers of one pitch stay together.
    pitches = [60, 60, 60, 61, 61, 61, 62, 63, 64, 65]
    assert kept_pitches(pitches, 4, held_out=True) == {62}
    assert kept_pitches(pitches, 0, held_out=True) == kept_pitches(pitches, 0, held_out=False)


def test_the_range_reaches_little_beyond_the_recordings():
    assert playable_range("Violin", [60, 80]) == (57, 83)
    assert playable_range("Violin", [55, 96]) == RANGES["Violin"]


def edited(notes_folder, tmp_path, **changes):
    """A copy of notes.csv whose first row has other values; the sound files stay where they are."""
    folder = tmp_path / "notes"
    shutil.copytree(notes_folder, folder)
    with (folder / "notes.csv").open() as table:
        rows = list(csv.DictReader(table))
    rows[0].update(changes)
    with (folder / "notes.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instrument": "Tuba"}, "line 2: instrument 'Tuba': expected one of Bassoon, Cello"),
        ({"file": "none.flac"}, "line 2: file 'none.flac' does not exist"),
        ({"cents": "flat"}, "line 2: midi and cents must be numbers"),
    ],
)
def test_a_bad_row_is_named(notes_folder, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_bank(edited(notes_folder, tmp_path, **changes))


def test_a_stereo_note_is_refused(notes_folder, tmp_path):
    folder = edited(notes_folder, tmp_path)
    first = sorted((folder / "Bassoon").iterdir())[0]
    soundfile.write(first, np.zeros((44100, 2)), 44100)
    with pytest.raises(InputError, match="2 channels: expected 44100 Hz, mono"):
        read_bank(folder)


def test_a_folder_without_its_list_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"notes\.csv: missing"):
        read_bank(tmp_path)
    (tmp_path / "notes.csv").write_text("file,midi\n")
    with pytest.raises(InputError, match="column missing: cents, dynamic, instrument"):
        read_bank(tmp_path)
