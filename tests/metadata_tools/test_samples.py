import numpy as np
import pytest

from cmss.rendering.notes import read_bank
from metadata_tools.notes.sound_files import cents_from
from metadata_tools.samples import main
from tests.support.note_files import RATE_HZ, TONE_S, tone, write


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    files = {
        "Violin/A4.wav": tone(69, 23),
        "Violin/As3.flac": tone(58, -31),
        "Violin/F#4_f.wav": tone(66, 0),
        "Violin/Bb4.aiff": tone(70, 8),
        "Cello/F2.wav": tone(41, -12),
        "Cello/F2 v2.ogg": tone(41, 60),
        "Cello/C4.mp3": tone(60, 5, seconds=4),
    }
    assert main(write(folder, files)) == 0
    return read_bank(folder / "notes")


def test_names_give_the_pitch_and_the_sound_its_deviation(bank):
    found = {n.name: (n.midi, n.cents) for notes in bank.values() for n in notes}
    expected = {
        "Violin/A4_f.flac": (69, 23),
        "Violin/As3_f.flac": (58, -31),
        "Violin/F#4_f_f.flac": (66, 0),
        "Violin/Bb4_f.flac": (70, 8),
        "Cello/F2_f.flac": (41, -12),
        "Cello/F2 v2_f.flac": (41, 60),
        "Cello/C4_f.flac": (60, 5),
    }
    # A spectrum's bins are a cent apart at the tenth harmonic of the lowest note, less above.
    assert found == {name: (midi, pytest.approx(c, abs=1)) for name, (midi, c) in expected.items()}


def test_level_and_length(bank):
    for note in (note for notes in bank.values() for note in notes):
        sustain = note.samples[note.attack : note.sustain_end].astype(float)
        # Files of 16 bits, and lossy ones among the sources.
        assert 10 * np.log10(np.mean(sustain**2)) == pytest.approx(-20, abs=0.1)
        # 10 ms are kept before, and the last frames of 10 ms need not be full.
        expected_s = 3.0 if note.name == "Cello/C4_f.flac" else TONE_S + 0.01
        assert len(note.samples) / 44100 == pytest.approx(expected_s, abs=0.021)
        assert np.abs(note.samples[-44:]).max() < 0.01


@pytest.mark.parametrize("midi", [34, 55, 96])
@pytest.mark.parametrize("cents", [-63.0, -17.3, 0.0, 41.0])
def test_deviation_of_a_steady_tone(midi, cents):
    assert cents_from(midi, tone(midi, cents, rate_hz=44100)) == pytest.approx(cents, abs=1)


@pytest.mark.parametrize("midi", [48, 69, 91])
def test_vibrato_counts_by_its_middle(midi):
    sustain = tone(midi, 10, seconds=3.0, rate_hz=44100, vibrato_cents=25)
    # The median of about 60 pieces that do not begin at the vibrato's zeros.
    assert cents_from(midi, sustain) == pytest.approx(10, abs=3)


@pytest.mark.parametrize(
    ("file", "samples", "message"),
    [
        ("Violin/H4.wav", tone(69), "expected a sound file named by its pitch"),
        ("Violin/A4v2.wav", tone(69), "expected a sound file named by its pitch"),
        ("Violin/B4.wav", np.zeros(RATE_HZ), "silent"),
        ("Violin/C5.wav", tone(72, seconds=0.2), "the note lasts 0.2"),
        ("Violin/A4.flac", tone(69), "another file has the same name"),
    ],
)
def test_a_file_that_is_no_note_is_one_line(tmp_path, capsys, file, samples, message):
    assert main(write(tmp_path, {"Violin/A4.wav": tone(69), file: samples})) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    # Of two files with one name the later in the alphabet is named.
    named = "Violin/A4.wav" if file == "Violin/A4.flac" else file
    assert line.startswith(f"samples: {tmp_path / 'samples' / named}: ")
    assert not (tmp_path / "notes").exists()


def test_all_problems_at_once(tmp_path, capsys):
    arguments = write(tmp_path, {"Tuba/A2.wav": tone(45), "Violin/B4.wav": np.zeros(RATE_HZ)})
    (tmp_path / "samples" / "Violin" / "A4.txt").write_text("no sound")
    (tmp_path / "samples" / "Violin" / "G4.wav").write_text("no sound")
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    places = ["Tuba", "Violin/A4.txt", "Violin/B4.wav", "Violin/G4.wav"]
    for line, place in zip(lines, places, strict=True):
        assert line.startswith(f"samples: {tmp_path / 'samples' / place}: ")


@pytest.mark.parametrize(("name", "message"), [("samples", "no sound files"), ("x", "no such")])
def test_a_folder_without_sounds(tmp_path, capsys, name, message):
    (tmp_path / "samples" / "Violin").mkdir(parents=True)
    assert main(["--samples", str(tmp_path / name), "--out", str(tmp_path / "notes")]) == 2
    assert message in capsys.readouterr().err
