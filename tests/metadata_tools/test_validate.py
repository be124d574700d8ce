import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cmss.audio import write_flac
from metadata_tools.challenge.writer import write_metadata, write_track
from metadata_tools.validate import main, validate
from tests.support.challenge_set import read_json
from tests.support.tiny_packages import stereo

ENSEMBLES = {
    "train": {"canon_000": ("Flute", "Bassoon"), "canon_001": ("Oboe", "Cello")},
    "valid": {"fugue_000": ("Violin_1", "Violin_2", "Cello")},
    "test": {"gigue_000": ("Sax", "Viola")},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("validate") / "data"
    tracks = [
        write_track(root, split, name, {x: stereo(x, 1, seed=len(split)) for x in labels}, "Made")
        for split, pieces in ENSEMBLES.items()
        for name, labels in pieces.items()
    ]
    write_metadata(root, tracks, seed=1, scenes_per_track=2, listeners_per_scene=1, listeners=3)
    return root


@pytest.fixture
def root(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "data"))


def change(root: Path, name: str, spoil) -> None:
    content = read_json(root, name)
    spoil(content)
    (root / "metadata" / name).write_text(json.dumps(content))


def test_a_whole_folder_and_its_instruments(whole, capsys):
    assert main([str(whole)]) == 0
    done = capsys.readouterr()
    assert done.err == ""
    lines = done.out.splitlines()
    assert lines[0].split() == [
        "split",
        "tracks",
        "minutes",
        "scenes",
        "pairs",
        "listeners",
        "from",
    ]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:] if line}
    # Minutes of one track of a second, rounded.
    assert rows["train"] == ["2", "0.0", "4", "4", "3", "Made"]
    assert rows["stems"] == ["of", "test", "train", "valid"]
    assert rows["Cello"] == ["0", "1", "1"]
    assert rows["Violin"] == ["0", "0", "2"]
    assert rows["Clarinet"] == ["0", "0", "0"]


def problems(root: Path) -> list[str]:
    return validate(root).problems


def test_schemas_and_joins(root):
    change(root, "music.valid.json", lambda x: x["fugue_000"]["source_1"].update(duration="1"))
    change(root, "scenes.test.json", lambda x: x["S60001"].update(gain="gain_9999"))
    change(root, "scene_listeners.train.json", lambda x: x.update(S10001=["L9999"]))
    found = problems(root)
    assert any("fugue_000.source_1.duration: " in line for line in found)
    assert any("S60001.gain: 'gain_9999' is not in" in line for line in found)
    assert any("S10001: 'L9999' is not in" in line for line in found)


def test_a_scene_with_an_id_of_another_split(root):
    change(root, "scenes.valid.json", lambda x: x.update(S60009=x["S50001"]))
    change(root, "scene_listeners.valid.json", lambda x: x.update(S60009=x["S50001"]))
    assert problems(root) == ["scenes.valid.json: S60009 has an id of the split test"]


def test_sound_that_is_too_short_damaged_in_the_middle_or_missing(root):
    folder = root / "audio" / "train"
    damaged = folder / "canon_000" / "Flute.flac"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    damaged.write_bytes(content)
    (folder / "canon_001" / "Oboe.flac").unlink()
    change(
        root, "music.test.json", lambda x: [p.update(duration=2) for p in x["gigue_000"].values()]
    )
    found = problems(root)
    assert any("Oboe.flac: no such audio file" in line for line in found)
    assert sum("end beyond" in line for line in found) == 3
    # Only decoding all of it shows the hole; of a split that lacks a file nothing is decoded.
    assert not any("Flute.flac" in line for line in found)
    shutil.copy(folder / "canon_000" / "Bassoon.flac", folder / "canon_001" / "Oboe.flac")
    found = problems(root)
    assert any("Flute.flac: truncated or damaged" in line for line in found)
    assert not any("Flute.flac" in line for line in validate(root, decode=False).problems)


def test_levels_and_sums_are_warned_of(root, capsys):
    path = root / "audio" / "valid" / "fugue_000" / "Mixture.flac"
    mixture, _ = soundfile.read(path)
    write_flac(path, 4 * mixture.T, 44100)
    assert main([str(root)]) == 0
    level, total = sorted(capsys.readouterr().err.splitlines())
    assert level.startswith("validate: warning: valid: fugue_000: the mixture has -28.0 LUFS")
    # Mixture minus stems is three of the four: -2.5 dB.
    assert "is not the sum of its stems, the difference has -2 dB relative to the" in total
    write_flac(path, np.zeros_like(mixture.T), 44100)
    assert validate(root).warnings == ["valid: fugue_000: the mixture is silent"]


def test_works_files_and_sounds_that_two_splits_share(root):
    def rename(tracks):
        tracks["fugue_007"] = tracks.pop("gigue_000")

    change(root, "music.test.json", rename)
    change(root, "scenes.test.json", lambda x: [s.update(music="fugue_007") for s in x.values()])
    assert problems(root) == ["test and valid share the work 'fugue'"]
    change(root, "music.test.json", lambda x: x.update(gigue_000=x.pop("fugue_007")))
    change(root, "scenes.test.json", lambda x: [s.update(music="gigue_000") for s in x.values()])
    cello = "fugue_000/Cello.flac"
    shutil.copy(
        root / "audio" / "valid" / cello, root / "audio" / "test" / "gigue_000" / "Sax.flac"
    )
    assert problems(root) == [
        "test and valid share a sound: gigue_000.source_1 is fugue_000.source_3"
    ]
    change(
        root,
        "music.test.json",
        lambda x: x["gigue_000"]["source_1"].update(track=f"valid/{cello}"),
    )
    assert f"test and valid share the file {root / 'audio/valid' / cello}" in problems(root)


def test_evaluation_data_are_not_for_training(root, capsys):
    change(
        root, "music.train.json", lambda x: x["canon_000"]["source_1"].update(source_dataset="URMP")
    )
    assert main([str(root)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 sources are from URMP" in line


def test_a_folder_without_metadata(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no music.<split>.json" in line
