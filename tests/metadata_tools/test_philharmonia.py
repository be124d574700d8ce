import pytest

from cmss.rendering.held_out import kept_pitches
from cmss.rendering.notes import read_bank
from metadata_tools.philharmonia import main
from tests.support.note_files import tone, write


def names(folder):
    return sorted(n.name for notes in read_bank(folder / "notes").values() for n in notes)


def test_long_notes_played_as_usual_are_taken_by_their_published_names(tmp_path):
    taken = {
        "violin_A4_1_forte_arco-normal.mp3": tone(69, 12),
        "saxophone_As3_15_piano_normal.mp3": tone(58),
        "cello_C3_long_mezzo-forte_non-vibrato.mp3": tone(48),
    }
    others = {
        "violin_A4_025_forte_arco-normal.mp3": tone(69),  # a quarter of a second
        "violin_A4_phrase_forte_arco-tremolo.mp3": tone(69),
        "violin_A4_1_cresc-decresc_arco-normal.mp3": tone(69),
        "tuba_A2_1_forte_normal.mp3": tone(45),
    }
    assert main(write(tmp_path, taken | others)) == 0
    assert names(tmp_path) == [
        "Cello/C3_long_mezzo-forte_non-vibrato_f.flac",
        "Sax/As3_15_piano_normal_f.flac",
        "Violin/A4_1_forte_arco-normal_f.flac",
    ]
    violin = read_bank(tmp_path / "notes")["Violin"][0]
    assert (violin.midi, violin.cents) == (69, pytest.approx(12, abs=1))  # a bin of the spectrum


def test_what_cannot_be_used_is_left_out_and_named(tmp_path, capsys):
    files = {
        "oboe_A4_1_forte_normal.mp3": tone(69),
        "twice/oboe_A4_1_forte_normal.mp3": tone(69),
        "oboe_B4_1_forte_normal.mp3": tone(70),  # a semitone below its name
        "oboe_C5_1_forte_normal.mp3": tone(72, seconds=0.15),
    }
    arguments = write(tmp_path, files)
    (tmp_path / "samples" / "oboe_D5_1_forte_normal.mp3").write_bytes(b"")
    assert main(arguments) == 0
    assert names(tmp_path) == ["Oboe/A4_1_forte_normal_f.flac"]
    problems = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in problems] == [
        str(tmp_path / "samples" / name)
        for name in (*list(files)[1:], "oboe_D5_1_forte_normal.mp3")
    ]


def test_only_the_pitches_that_training_leaves(tmp_path):
    pitches = range(60, 69)
    letters = ("C4", "Cs4", "D4", "Ds4", "E4", "F4", "Fs4", "G4", "Gs4")
    files = {
        f"viola_{letter}_1_forte_arco-normal.mp3": tone(midi)
        for letter, midi in zip(letters, pitches, strict=True)
    }
    assert main([*write(tmp_path, files), "--only-every", "4"]) == 0
    kept = {note.midi for note in read_bank(tmp_path / "notes")["Viola"]}
    assert kept == kept_pitches(pitches, 4, held_out=True)


def test_a_folder_without_any_is_refused(tmp_path, capsys):
    (tmp_path / "samples").mkdir()
    assert main(["--samples", str(tmp_path / "samples"), "--out", str(tmp_path / "notes")]) == 2
    (problem,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "samples") in problem
    assert not (tmp_path / "notes").exists()
