"""The challenge's packages in miniature, compared with the output of the official script."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf
from recipes.cad2.task2.process_dataset import process_zenodo_download as official

from cmss.files.atomic import is_temporary
from cmss.scenes import MetadataPaths, load_pairs, load_tracks
from metadata_tools.zenodo import main
from tests.support.challenge_set import digest
from tests.support.tiny_packages import (
    EXCERPT_S,
    START_S,
    TRACKS,
    ensembleset,
    killed_at,
    metadata,
    metadata_files,
    woodwind,
    write_downloads,
    write_tar,
    write_zip,
)

FULL_SCALE = 32768


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return write_downloads(tmp_path_factory.mktemp("zenodo") / "downloads")


@pytest.fixture(scope="module")
def data(downloads):
    root = downloads.parent / "data"
    assert main([str(downloads), "--out", str(root)]) == 0
    return root


def files(root: Path) -> dict[str, Path]:
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path for path in found}


def as_the_official_script_does(downloads: Path, root: Path) -> Path:
    config = {"zenodo_download_path": str(downloads), "root": str(root)}
    paths = {"music_dir": str(root / "audio"), "metadata_dir": str(root / "metadata")}
    official.prepare_cad2_dataset(OmegaConf.create({"path": config | paths}))
    return root


def assert_same_tree(ours: Path, theirs: Path) -> None:
    """Copies to the byte; what was cut and summed to the sample: FLAC encoders differ."""
    assert files(ours).keys() == files(theirs).keys()
    for name, path in files(ours).items():
        other = files(theirs)[name]
        if name.startswith("audio/valid/"):
            kind, other_kind = soundfile.info(path), soundfile.info(other)
            assert (kind.format, kind.subtype) == (other_kind.format, other_kind.subtype)
            samples, rate_hz = soundfile.read(path, dtype="int16")
            others, other_rate_hz = soundfile.read(other, dtype="int16")
            assert rate_hz == other_rate_hz
            np.testing.assert_array_equal(samples, others, name)
        else:
            assert path.read_bytes() == other.read_bytes(), name


def test_the_tree_is_that_of_the_official_script(downloads, data, tmp_path):
    theirs = tmp_path / "downloads"
    shutil.copytree(downloads, theirs)
    assert_same_tree(data, as_the_official_script_does(theirs, tmp_path / "theirs"))
    # What it unpacked may take the place of the archives.
    for archive in theirs.glob("*.zip"):
        archive.unlink()
    assert main([str(theirs), "--out", str(tmp_path / "again")]) == 0
    assert digest(tmp_path / "again") == digest(data)


def test_what_is_not_asked_for_does_not_matter(downloads, data, tmp_path, capsys):
    """Two read-me files, another archive, an entry for the mixture, which is no stem."""
    folder = tmp_path / "downloads"
    write_zip(folder / "EnsembleSet_Mix_1.zip", {**ensembleset(), "README.md": b"strings"})
    write_zip(folder / "CadenzaWoodwind.zip", {**woodwind(), "README.md": b"wind"})
    write_zip(folder / "holiday.zip", {"photo.jpg": b"x"})
    shutil.copy(downloads / "metadata.zip", folder)
    assert main([str(folder), "--out", str(tmp_path / "data")]) == 0
    assert digest(tmp_path / "data") == digest(data)
    content = metadata()["music.valid.to_generate"]
    for track in content.values():
        track["mixture"] = {**track["source_1"], "instrument": "Mixture"}
    write_zip(folder / "metadata.zip", changed(**{"music.valid.to_generate": content}))
    capsys.readouterr()
    assert main([str(folder), "--out", str(tmp_path / "other")]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "3 tracks have an entry 'mixture', which is not added to the stems" in line
    for name in ("audio/train", "audio/valid"):
        assert digest(tmp_path / "other" / name) == digest(data / name)


def test_sums_beyond_full_scale_are_clipped_as_there_but_not_silently(tmp_path, capsys):
    """With 24 bits, too: stems are cut to 16 after they were summed."""
    downloads = write_downloads(tmp_path / "downloads", gain=2.5, subtype="PCM_24")
    assert main([str(downloads), "--out", str(tmp_path / "data")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["anitrasdance_000"]
    assert "of the sum of the stems are beyond full scale" in lines[0]
    theirs = as_the_official_script_does(downloads, tmp_path / "theirs")
    assert_same_tree(tmp_path / "data", theirs)
    mixture, _ = soundfile.read(
        next((tmp_path / "data/audio/valid/anitrasdance_000").glob("mix*")), dtype="int16"
    )
    assert np.abs(mixture.astype(int)).max() >= FULL_SCALE - 1


def test_stems_are_cut_exactly_and_add_up(data, tmp_path):
    package = {**ensembleset(), **woodwind()}
    for track, stems in TRACKS.items():
        total = np.zeros((EXCERPT_S * 44100, 2), int)
        for dataset, path, label in stems:
            (tmp_path / "whole.flac").write_bytes(package[f"{dataset}/{path}"])
            whole, _ = soundfile.read(tmp_path / "whole.flac", dtype="int16")
            cut, _ = soundfile.read(data / f"audio/valid/{track}/{label}.flac", dtype="int16")
            start = int(START_S * 44100)
            np.testing.assert_array_equal(cut, whole[start : start + EXCERPT_S * 44100])
            total += cut
        mixture, _ = soundfile.read(data / f"audio/valid/{track}/mix_{track}.flac", dtype="int16")
        np.testing.assert_array_equal(mixture, total)


def test_the_data_are_read_and_scored(data, server, tmp_path):
    assert len(load_pairs(MetadataPaths.of(data, "valid"))) == 1
    assert len(load_tracks(data / "metadata/music.valid.json", data / "audio")) == len(TRACKS)
    assert len(load_tracks(data / "metadata/music.train.json", data / "audio/train")) == 2
    server.succeed("enhance", f"path.root={data}", "separator=oracle", cwd=tmp_path)
    server.succeed("evaluate", "evaluate.jobs=1", cwd=tmp_path)
    scores = (tmp_path / "exp" / "scores.csv").read_text().splitlines()
    assert len(scores) == 2
    # True stems in the wanted balance: all that is missing is 16 bits and a sampling rate.
    assert all(float(row.split(",")[-1]) > 0.95 for row in scores[1:])


def test_unpacking_that_was_killed_goes_on_where_it_ended(downloads, data, tmp_path):
    arguments = [str(downloads), "--out", str(tmp_path / "data")]
    whole = digest(data)
    seen: dict[str, int] = {}
    for rename in (3, 6, 9, 12):
        assert killed_at(rename, main, arguments)
        there = {
            name: path for name, path in files(tmp_path / "data").items() if not is_temporary(path)
        }
        final = {name for name in there if not name.startswith(".")}
        for name in final:
            assert digest(tmp_path / "data")[name] == whole[name], "a file is there in part"
        assert not any(name.startswith("metadata") for name in final), "metadata come last"
        # A file that was there is not made anew.
        assert {name: there[name].stat().st_ino for name in seen} == seen
        seen = {name: path.stat().st_ino for name, path in there.items() if path.suffix == ".flac"}
    assert len(seen) > 10
    assert main(arguments) == 0
    assert digest(tmp_path / "data") == whole
    before = {name: path.stat().st_mtime_ns for name, path in files(tmp_path / "data").items()}
    assert main(arguments) == 0
    after = {name: path.stat().st_mtime_ns for name, path in files(tmp_path / "data").items()}
    assert after == before


def without(content: dict[str, bytes], name: str) -> dict[str, bytes]:
    assert name in content
    return {key: value for key, value in content.items() if key != name}


def changed(**files_of_metadata: dict) -> dict[str, bytes]:
    return metadata_files(metadata() | files_of_metadata)


def spoilt(name: str, part: str, **changes: object) -> dict[str, bytes]:
    content = metadata()["music.valid.to_generate"]
    content[name][part] = {**content[name][part], **changes}
    return changed(**{"music.valid.to_generate": content})


def clashing_train_tracks() -> dict[str, bytes]:
    tracks = metadata()["music_tracks.train"]
    tracks["fughetta"]["stems_path"].append("gavotte/Mix_1/Cello.flac")
    return changed(**{"music_tracks.train": tracks})


CASES = {
    "missing stem": (
        "EnsembleSet_Mix_1.zip",
        lambda: without(ensembleset(), "EnsembleSet/gavotte/Mix_1/Cello.flac"),
        "missing stem: EnsembleSet/gavotte/Mix_1/Cello.flac is in no package",
    ),
    "a stem in two packages": (
        "CadenzaWoodwind.zip",
        lambda: woodwind() | {"EnsembleSet/gavotte/Mix_1/Cello.flac": b"other"},
        "name clash: two different files would be EnsembleSet/gavotte/Mix_1/Cello.flac",
    ),
    "missing package": ("CadenzaWoodwind.zip", None, "CadenzaWoodwind: in none of the packages"),
    "no metadata": ("metadata.zip", None, "no package has music_tracks.train.json"),
    "two stems of one name": (
        "metadata.zip",
        lambda: spoilt("random_000", "source_1", track="gavotte/Oboe.flac"),
        "name clash: two different files would be ",
    ),
    "one training file of two data sets": (
        "metadata.zip",
        clashing_train_tracks,
        "name clash: two different files would be ",
    ),
    "a path that leads out": (
        "metadata.zip",
        lambda: spoilt("random_000", "source_1", track="../../Oboe.flac"),
        "random_000.source_1.track: the path 'EnsembleSet/../../Oboe.flac' points outside the "
        "folder",
    ),
    "a bad number": (
        "metadata.zip",
        lambda: spoilt("random_000", "source_1", start="1"),
        "metadata.zip/metadata/music.valid.to_generate.json: random_000.source_1.start: ",
    ),
    "no mixture": (
        "metadata.zip",
        lambda: spoilt("random_000", "mixture_target", track=None),
        "random_000.mixture_target.track: ",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named_before_anything_is_written(downloads, tmp_path, capsys, case):
    archive, content, expected = CASES[case]
    shutil.copytree(downloads, tmp_path / "downloads")
    (tmp_path / "downloads" / archive).unlink()
    if content:
        write_zip(tmp_path / "downloads" / archive, content())
    assert main([str(tmp_path / "downloads"), "--out", str(tmp_path / "data")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any(expected in line for line in lines), lines
    assert not (tmp_path / "data").exists()


def test_an_excerpt_beyond_the_end_and_a_damaged_stem_are_named(downloads, tmp_path, capsys):
    shutil.copytree(downloads, tmp_path / "downloads")
    metadata_zip = tmp_path / "downloads" / "metadata.zip"
    write_zip(metadata_zip, spoilt("random_000", "source_1", duration=EXCERPT_S + 30))
    assert main([str(tmp_path / "downloads"), "--out", str(tmp_path / "data")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any("Viola.flac lasts 2 s, expected 31.5 s" in line for line in lines)
    shutil.copy(downloads / "metadata.zip", metadata_zip)
    content = ensembleset()
    name = "EnsembleSet/anitrasdance/Mix_1/Viola.flac"
    content[name] = content[name][:3000]
    write_zip(tmp_path / "downloads" / "EnsembleSet_Mix_1.zip", content)
    assert main([str(tmp_path / "downloads"), "--out", str(tmp_path / "other")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Viola.flac: truncated or damaged" in line
    for root in ("data", "other"):
        assert not list((tmp_path / root).glob("audio/valid/**/*.flac"))
        assert not (tmp_path / root / "metadata").exists()


def test_the_evaluation_package_and_the_tuning_set(downloads, data, tmp_path, capsys):
    """Laid out as far as is known: audio and metadata side by side; the tuning set as it is."""
    folder = tmp_path / "downloads"
    package = {
        name.replace("valid", "eval"): path.read_bytes().replace(b"valid", b"eval")
        for name, path in files(data).items()
        if "valid/" in name or "valid.json" in name or "gains.json" in name
    }
    inside = {f"cadenza_data/cad2/task2/{name}": content for name, content in package.items()}
    write_tar(folder / "cadenza_cad2_task2_eval.v1_1.tar.gz", {**inside, "README.md": b"x"})
    write_zip(folder / "Stereo_Reverb_Real_Data_For_Tuning.zip", {"piece/Flute.flac": b"x"})
    assert main([str(folder), "--out", str(tmp_path / "data")]) == 0
    expected = package | {"audio/tuning/piece/Flute.flac": b"x"}
    assert {name: path.read_bytes() for name, path in files(tmp_path / "data").items()} == expected
    assert len(load_pairs(MetadataPaths.of(tmp_path / "data", "eval"))) == 1
    # Beside the other packages, with which it shares the gains.
    assert main([str(folder), str(downloads), "--out", str(tmp_path / "both")]) == 0
    assert digest(tmp_path / "both") == digest(data) | digest(tmp_path / "data")
    inside["cadenza_data/cad2/task2/metadata/gains.json"] = json.dumps({}).encode()
    write_tar(folder / "cadenza_cad2_task2_eval.v1_1.tar.gz", inside)
    capsys.readouterr()
    assert main([str(folder), str(downloads), "--out", str(tmp_path / "other")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"two different files would be {tmp_path / 'other/metadata/gains.json'}")
