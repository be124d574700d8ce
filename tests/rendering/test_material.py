"""Notes and scores for rendered mixtures: read, packed, and refused if they are held out."""

from dataclasses import replace

import numpy as np
import pytest

from cmss.errors import InputError
from cmss.rendering.held_out import HELD_OUT_EVERY, kept_pitches
from cmss.rendering.material import Line, Material
from cmss.rendering.material_folders import read_material
from cmss.rendering.musicxml import read_score
from cmss.rendering.notation import cut
from cmss.rendering.packed_material import load_material, save_material
from metadata_tools.notes.bank import write_bank
from metadata_tools.notes.synthesiser import make_bank
from metadata_tools.pack import main, write_pack
from tests.support.tiny_material import sine, tiny_material
from tests.support.tiny_music import write_quartet


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Notes of three instruments, and scores of a test work and of two other works."""
    folder = tmp_path_factory.mktemp("material")
    write_bank(
        folder / "notes", lambda: make_bank(("Violin", "Viola", "Cello"), 2, spacing_semitones=5)
    )
    (folder / "scores").mkdir()
    for work in ("Haydn__A", "Saint-Georges__B", "Mozart__C", "Arriaga__D"):
        write_quartet(folder / "scores" / f"{work}.musicxml")
    return folder / "notes", folder / "scores"


@pytest.fixture(scope="module")
def material(folders):
    notes, scores = folders
    return read_material([notes], [scores], 16000)


def test_works_and_pitches_of_the_test_sets_are_left_out(material):
    assert [work.name for work in material.works] == ["Arriaga__D", "Mozart__C"]
    for key, pitches in material.pitches.items():
        found = {tone.midi for tone in material.tones[key.split("/")[1]]}
        assert found == kept_pitches(pitches, HELD_OUT_EVERY, held_out=False)
        assert found < set(pitches)
    assert "refused for training: 2 works of the test sets (Haydn, Saint-Georges)" in (
        material.summary
    )


def test_two_folders_of_notes_are_two_libraries(folders, material):
    both = read_material([folders[0], folders[0]], [folders[1]], 16000)
    assert {tone.library for tone in both.tones["Violin"]} == {"notes", "notes_2"}
    assert len(both.tones["Violin"]) == 2 * len(material.tones["Violin"])


def test_a_folder_of_test_works_alone_is_refused(folders, tmp_path):
    write_quartet(tmp_path / "Haydn__A.musicxml")
    with pytest.raises(InputError) as caught:
        read_material([folders[0]], [tmp_path], 16000)
    assert [*caught.value.problems] == [
        f"path.scores: {tmp_path}: contains only works of the test sets (Haydn, "
        "Saint-Georges), which are refused for training"
    ]


def test_a_packed_file_with_a_test_work_is_refused(tmp_path):
    path = tmp_path / "pack.npz"
    save_material(tiny_material(("Haydn_Joseph__Quartet", "Mozart")), path)
    with pytest.raises(InputError) as caught:
        load_material(path)
    assert [*caught.value.problems] == [
        f"{path}: Haydn_Joseph__Quartet: a work of the test sets (Haydn, Saint-Georges), expected "
        "none in a training"
    ]


def test_a_packed_file_with_a_held_out_pitch_is_refused(tmp_path):
    path = tmp_path / "pack.npz"
    material = tiny_material()
    (held_out, *_) = sorted(
        kept_pitches(material.pitches["synth/Violin"], HELD_OUT_EVERY, held_out=True)
    )
    note = replace(material.tones["Violin"][0], midi=held_out)
    tones = {**material.tones, "Violin": (*material.tones["Violin"], note)}
    save_material(replace(material, tones=tones), path)
    with pytest.raises(InputError) as caught:
        load_material(path)
    assert [*caught.value.problems] == [
        f"{path}: synth/Violin: pitch {held_out} is held out for the test sets (every "
        f"{HELD_OUT_EVERY}th recorded pitch), expected none in a training"
    ]


@pytest.mark.parametrize("wrong", ["notes", "scores"])
def test_a_wrong_folder_is_named_with_its_key(wrong, folders, tmp_path):
    paths = {"notes": [folders[0]], "scores": [folders[1]], wrong: [tmp_path / "no"]}
    with pytest.raises(InputError) as caught:
        read_material(paths["notes"], paths["scores"], 16000)
    (line,) = caught.value.problems
    assert line.startswith(f"path.{wrong}: {tmp_path / 'no'}")


def test_a_damaged_score_is_named_with_its_key(folders, tmp_path):
    (tmp_path / "Mozart__C.musicxml").write_text("<score")
    with pytest.raises(InputError) as caught:
        read_material([folders[0]], [tmp_path], 16000)
    (line,) = caught.value.problems
    assert line.startswith(f"path.scores: {tmp_path / 'Mozart__C.musicxml'}")


def test_nothing_is_lost_in_a_packed_file(material, tmp_path):
    paths = [tmp_path / name for name in ("a.npz", "b.npz")]
    for path in paths:
        save_material(material, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    loaded = load_material(paths[0])
    assert loaded.summary == material.summary
    assert loaded.pitches == material.pitches
    for name, tones in material.tones.items():
        for tone, same in zip(tones, loaded.tones[name], strict=True):
            np.testing.assert_array_equal(tone.samples, same.samples)
            assert replace(tone, samples=same.samples) == same
    for work, same in zip(material.works, loaded.works, strict=True):
        assert work.name == same.name
        for part, other in zip(work.parts, same.parts, strict=True):
            for column in ("onset", "duration", "midi", "level_db", "marks"):
                np.testing.assert_array_equal(getattr(part, column), getattr(other, column))


def test_a_passage_has_the_notes_that_cut_returns(folders):
    score = read_score(folders[1] / "Mozart__C.musicxml")
    for part in score.parts:
        assert Line.of(part).between(2.0, 9.0) == cut(part, 2.0, 9.0)


def test_a_packed_file_keeps_to_its_size(material, tmp_path):
    path = tmp_path / "pack.npz"
    longest_s = write_pack(material, path, 60e6)
    assert longest_s == 3.0
    largest = 0.6 * path.stat().st_size
    assert write_pack(material, path, largest) < 2.0
    assert path.stat().st_size <= largest
    assert load_material(path).tones.keys() == material.tones.keys()
    with pytest.raises(InputError, match=r"--megabytes: 0\.001 MB, too few"):
        write_pack(material, path, 1e3)
    assert [file.name for file in tmp_path.iterdir()] == ["pack.npz"]


def test_notes_keep_their_pitch_and_length_at_a_lower_rate():
    tone = sine(69)
    material = Material(22050, {"Violin": (tone,)}, (), {})
    (slower,) = material.at_rate(16000, "pack").tones["Violin"]
    assert len(slower.samples) == 48000
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 16000)
    middle = slice(500, 47500)
    np.testing.assert_allclose(slower.samples[middle] / 32767, expected[middle], atol=2e-3)
    with pytest.raises(InputError, match="pack: 22050 Hz, expected at least 44100 Hz"):
        material.at_rate(44100, "pack")


def test_the_command_says_what_is_lost(folders, tmp_path, capsys):
    out = tmp_path / "deeper" / "pack.npz"
    words = ["--notes", str(folders[0]), "--scores", str(folders[1]), "--out", str(out)]
    assert main([*words, "--rate", "16000"]) == 0
    assert "lost: frequencies above 8000 Hz, notes after 3 s" in capsys.readouterr().out
    assert load_material(out).rate_hz == 16000


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "pack.npz"
    path.write_bytes(b"abc")
    with pytest.raises(InputError, match=r"not a file of metadata_tools\.pack"):
        load_material(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_material(tmp_path / "no.npz")
