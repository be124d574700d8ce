import numpy as np
import pytest

from cmss.rendering.notation import RANGES
from cmss.rendering.notes import read_bank
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ
from metadata_tools.soundfont import PROGRAMS, SUSTAIN_DBFS, main
from tests.support import tiny_soundfont

pytest.importorskip("tinysoundfont", reason="make test installs it without its dependencies")


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("soundfont")
    tiny_soundfont.write(folder / "tiny.sf2", list(PROGRAMS.values()))
    assert main(["--soundfont", str(folder / "tiny.sf2"), "--out", str(folder / "notes")]) == 0
    return read_bank(folder / "notes")


def test_every_semitone_of_every_instrument(bank):
    for instrument, (low, high) in RANGES.items():
        assert [note.midi for note in bank[instrument]] == list(range(low, high + 1))


@pytest.mark.parametrize("midi", [57, 69, 80])
def test_pitch_and_level(bank, midi):
    (note,) = [note for note in bank["Violin"] if note.midi == midi]
    held = note.samples[SAMPLE_RATE_HZ // 2 : 2 * SAMPLE_RATE_HZ].astype(float)
    level_db = 10 * np.log10(np.mean(held**2))
    assert level_db == pytest.approx(SUSTAIN_DBFS, abs=0.1)
    spectrum = np.abs(np.fft.rfft(held * np.hanning(len(held))))
    hz = np.argmax(spectrum) * SAMPLE_RATE_HZ / len(held)
    # The sample is 441 Hz at the key of 440; the resolution is two thirds of a hertz.
    assert hz == pytest.approx(441 * 2 ** ((midi - 69) / 12), abs=0.7)


def test_keys_without_a_sound_are_left_out(tmp_path):
    low, high = RANGES["Violin"]
    tiny_soundfont.write(tmp_path / "tiny.sf2", list(PROGRAMS.values()), high - 5)
    arguments = ["--soundfont", str(tmp_path / "tiny.sf2"), "--out", str(tmp_path / "notes")]
    assert main(arguments) == 0
    keys = [note.midi for note in read_bank(tmp_path / "notes")["Violin"]]
    assert keys == list(range(low, high - 4))


def test_an_instrument_without_any_sound_is_named(tmp_path, capsys):
    tiny_soundfont.write(tmp_path / "tiny.sf2", list(PROGRAMS.values()), 20)
    arguments = ["--soundfont", str(tmp_path / "tiny.sf2"), "--out", str(tmp_path / "notes")]
    assert main(arguments) == 2
    assert "Bassoon, program 70: no sound at any key" in capsys.readouterr().err


def test_a_program_that_is_missing_is_named(tmp_path, capsys):
    tiny_soundfont.write(tmp_path / "tiny.sf2", [40, 41, 42])
    arguments = ["--soundfont", str(tmp_path / "tiny.sf2"), "--out", str(tmp_path / "notes")]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"soundfont: {tmp_path / 'tiny.sf2'}: Bassoon, program 70: ")
    assert not (tmp_path / "notes").exists()


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"RIFF....", "not a readable SoundFont")]
)
def test_what_is_no_soundfont_is_named(tmp_path, capsys, content, message):
    path = tmp_path / "font.sf2"
    if content is not None:
        path.write_bytes(content)
    assert main(["--soundfont", str(path), "--out", str(tmp_path / "notes")]) == 2
    assert message in capsys.readouterr().err
