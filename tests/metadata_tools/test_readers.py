"""Every reader: from an archive in the published layout to a scored scene and a training run."""

import csv
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cmss.files.atomic import is_temporary
from cmss.models.checkpoint import build
from cmss.models.outputs import OUTPUTS
from cmss.scenes import MetadataPaths, load_pairs
from cmss.training.presets import PRESETS
from metadata_tools import urmp
from metadata_tools.readers.stem_mp4 import read_stream
from metadata_tools.readers.stem_names import part_label
from metadata_tools.validate import validate
from tests.support.challenge_set import assert_levels_and_sums, digest, labels
from tests.support.recipe_calls import call
from tests.support.tiny_data_sets import (
    DATA_SETS,
    SECONDS,
    DataSet,
    bach10_files,
    wav,
    write_stem_mp4,
)
from tests.support.tiny_packages import killed_at, tones, write_zip

ONE_PAIR = ["--scenes-per-track", "1", "--listeners-per-scene", "1", "--listeners", "2"]


def splits(data_set: DataSet) -> list[str]:
    """Options that assign the three pieces to the three splits."""
    _, valid, test = data_set.works
    options = ["--split", "train", "--valid-works", valid, "--test-works", test]
    return [*options, "--force"] if data_set.force else options


@pytest.fixture(scope="module", params=DATA_SETS)
def made(request, tmp_path_factory):
    """A data set, and the folder that its reader wrote."""
    data_set = DATA_SETS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    archive = data_set.write(folder)
    assert (
        data_set.main([str(archive), "--out", str(folder / "data"), *splits(data_set), *ONE_PAIR])
        == 0
    )
    # No other files remain.
    assert {path.name for path in folder.iterdir()} == {archive.name, "data"}
    return data_set, folder / "data"


def test_the_layout_is_whole_and_the_instruments_are_those_of_the_challenge(made):
    data_set, root = made
    report = validate(root)
    assert report.warnings == []
    reserved = [line for line in report.problems if "is the challenge's evaluation set" in line]
    assert report.problems == reserved
    assert len(reserved) == (2 if data_set.force else 0)
    for split in ("train", "valid", "test"):
        assert_levels_and_sums(root, split)
    ensembles = [set(names) for names in labels(root, "test")]
    assert len(ensembles) == data_set.tracks
    assert data_set.labels in ensembles


def test_from_archive_to_score(made, server, tmp_path):
    data_set, root = made
    assert len(load_pairs(MetadataPaths.of(root, "test"))) == data_set.tracks
    server.succeed("enhance", f"path.root={root}", "split=test", "separator=oracle", cwd=tmp_path)
    server.succeed("evaluate", "evaluate.jobs=1", cwd=tmp_path)
    with (tmp_path / "exp" / "scores.csv").open() as file:
        scores = [float(row["avg_haaqi"]) for row in csv.DictReader(file)]
    assert len(scores) == data_set.tracks
    # The stems differ from the reference by 16 bits and 32 kHz only.
    assert min(scores) > 0.95


def test_a_training_run_starts_and_lowers_its_loss(made, tmp_path, monkeypatch):
    _, root = made
    tiny = {
        "sources": OUTPUTS, "L": 256, "hop": 64, "Q": 30, "B": 16, "H": 24, "X": 2, "R": 1,
        "samplerate": 8000,
    }  # fmt: skip
    arguments = asdict(build("fourier_convtasnet", tiny).arguments)
    small = replace(PRESETS["convtasnet", "small"], arguments=arguments)
    monkeypatch.setitem(PRESETS, ("convtasnet", "small"), small)
    words = (
        "loop.steps=24", "loop.validate_every=6", "loop.validation_batches=2",
        "loop.warmup_steps=2", "loop.learning_rate=5e-3", "loop.precision=float32",
        "mixtures.batch_size=2", "mixtures.segment_s=0.4", "mixtures.together=1.0",
    )  # fmt: skip
    done = call("train", f"path.root={root}", "path.exp_folder=.", *words, cwd=tmp_path)
    assert done.status == 0, done.stderr
    with (tmp_path / "log.csv").open() as file:
        losses = [float(row["training_loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_unpacking_that_was_killed_goes_on_where_it_ended(made, tmp_path):
    data_set, root = made
    arguments = [str(data_set.write(tmp_path)), "--out", str(tmp_path / "data")]
    arguments += [*splits(data_set), *ONE_PAIR]
    assert killed_at(4, data_set.main, arguments)
    assert not (tmp_path / "data").exists()
    unpacked = [x for x in (tmp_path / ".data.unpacked").rglob("*") if x.is_file()]
    assert len([path for path in unpacked if not is_temporary(path)]) == 3
    if data_set.archive == "CadenzaWoodwind.zip":  # one is enough: the rest is common code
        assert data_set.main(arguments) == 0
        assert digest(tmp_path / "data") == digest(root)
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {data_set.archive, "data"}


# Refusals of all readers.


def only_line(capsys) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture(params=DATA_SETS)
def data_set(request):
    return DATA_SETS[request.param]


def test_a_missing_stem_a_damaged_one_and_a_damaged_archive_are_one_line(
    data_set, tmp_path, capsys, request
):
    out = tmp_path / "data"
    options = ["--out", str(out), "--only", data_set.works[0]]
    files = data_set.files(0.5)
    stem = data_set.stem
    damaged = data_set.write(tmp_path, files | {stem: files[stem][:300]})
    assert data_set.main([str(damaged), *options]) == 2
    line = only_line(capsys)
    assert Path(stem).name in line
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    assert data_set.main([str(damaged), *options]) == 2
    assert f": {damaged}: " in only_line(capsys)
    if "ensembleset" not in request.node.name:  # whose pieces have any number of players
        del files[stem]
        assert data_set.main([str(data_set.write(tmp_path, files)), *options]) == 2
        assert "missing stem" in only_line(capsys)
    assert {path.name for path in tmp_path.iterdir()} == {damaged.name}


def test_two_files_for_one_stem_are_a_name_clash(data_set, tmp_path, capsys):
    files = data_set.files(0.1)
    copies = {f"copy/{name}": content for name, content in files.items()}
    archive = data_set.write(tmp_path, files | copies)
    assert data_set.main([str(archive), "--out", str(tmp_path / "data")]) == 2
    assert "name clash" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_another_data_set_is_not_guessed_at(data_set, tmp_path, capsys):
    archive = write_zip(tmp_path / "other.zip", {"readme.txt": b"other"})
    assert data_set.main([str(archive), "--out", str(tmp_path / "data")]) == 2
    assert "no piece of " in only_line(capsys)


@pytest.mark.parametrize("name", ["bach10", "urmp"])
@pytest.mark.parametrize("options", [["--split", "train"], ["--valid-works", "*"]])
def test_evaluation_data_are_refused_as_training_data(name, options, tmp_path, capsys):
    data_set = DATA_SETS[name]
    archive = data_set.write(tmp_path)
    assert data_set.main([str(archive), "--out", str(tmp_path / "data"), *options]) == 2
    assert "is the challenge's evaluation data and must not be used" in only_line(capsys)
    assert not (tmp_path / "data").exists()


def test_by_default_evaluation_data_are_test_scenes_four_a_track_for_two_listeners(tmp_path):
    """Also from a folder; a piece of 6.5 s has two excerpts of 3 s."""
    folder = tmp_path / "Bach10"
    files = {
        k: v for k, v in bach10_files(6.5).items() if "/01-" in k and not k.endswith("err.wav")
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    before = digest(folder)
    assert (
        DATA_SETS["bach10"].main([str(folder), "--out", str(tmp_path / "data"), "--duration", "3"])
        == 0
    )
    assert digest(folder) == before
    pairs = load_pairs(MetadataPaths.of(tmp_path / "data", "test"))
    assert len(pairs) == 2 * 4 * 2
    assert {pair.scene.track.mixture.duration_s for pair in pairs} == {3}
    assert {path.name for path in tmp_path.iterdir()} == {"Bach10", "data"}


# Single readers.


def test_pieces_that_the_challenge_cannot_write_are_left_out_and_named(tmp_path, capsys):
    wood, strings = DATA_SETS["urmp"], DATA_SETS["ensembleset"]
    assert wood.main([str(wood.write(tmp_path)), "--out", str(tmp_path / "u"), *ONE_PAIR]) == 0
    done = capsys.readouterr()
    assert "15_Surprise_tpt_tpt_tbn: left out" in done.err
    assert "3 pieces of URMP, 3 test tracks" in done.out
    archive = strings.write(tmp_path)
    options = ["--only", "gavotte", *ONE_PAIR]
    assert strings.main([str(archive), "--out", str(tmp_path / "s"), *options]) == 0
    assert "gavotte: left out: Bass, Horn, Oboe_1, Oboe_2" in capsys.readouterr().err
    options += ["--parts", "all", "--microphone", "Close"]
    assert strings.main([str(archive), "--out", str(tmp_path / "all"), *options]) == 0
    assert "gavotte: left out: Bass, Horn, Oboe_2" in capsys.readouterr().err
    assert [set(x) for x in labels(tmp_path / "all", "train")] == [strings.labels | {"Oboe"}]


def test_players_that_the_challenge_never_doubles_are_left_out_of_urmp():
    pieces = ("70_A_vc_vc", "71_B_vn_vn_vn", "72_C_vn_va_vn")
    files = [
        f"{piece}/AuSep_{number}_{player}_{piece[:4]}.wav"
        for piece in pieces
        for number, player in enumerate(piece.split("_")[2:], 1)
    ]
    found = urmp.catalogue(files)
    assert [line.partition(":")[0] for line in found.left_out] == list(pieces[:2])
    assert [list(piece.stems) for piece in found.pieces] == [["Violin_1", "Viola", "Violin_2"]]


def test_a_dry_piece_keeps_its_balance_in_a_measured_hall(tmp_path):
    """A response without reflections for all seats: all stems are scaled by the same factor."""
    rooms = tmp_path / "rooms" / "hall"
    rooms.mkdir(parents=True)
    for seat in range(4):
        response = np.zeros((2, 100))
        response[:, 10] = 0.3, 0.1
        (rooms / f"{seat}.wav").write_bytes(wav(response))
    archive = DATA_SETS["bach10"].write(tmp_path)
    options = ["--rooms", str(rooms.parent), "--only", "01-", *ONE_PAIR]
    assert DATA_SETS["bach10"].main([str(archive), "--out", str(tmp_path / "data"), *options]) == 0
    gains = []
    for label in ("Violin", "Clarinet", "Sax", "Bassoon"):
        (path,) = (tmp_path / "data/audio/test").glob(f"*/{label}.flac")
        wet, _ = soundfile.read(path)
        dry = tones(label, SECONDS)
        fit = [float(wet[10:, c] @ dry[:-10] / (dry[:-10] @ dry[:-10])) for c in (0, 1)]
        # At -40 LUFS a stem has about 300 steps of 16 bit: rounding is 0.1 % of it.
        assert np.std(wet[10:, 0] - fit[0] * dry[:-10]) < 0.01 * np.std(wet[10:, 0])
        assert fit[0] / fit[1] == pytest.approx(3, rel=0.01)
        gains.append(fit[0])
    assert max(gains) / min(gains) < 1.01


@pytest.mark.parametrize(
    ("responses", "expected"),
    [
        ([], "holds no impulse response"),
        ([(2, 100)] * 3, "4 players, but no hall has more than 3 impulse responses"),
        ([(4, 100)], "4 channel(s), expected the 2 of a stereo pair"),
    ],
)
def test_rooms_that_cannot_be_used(responses, expected, tmp_path, capsys):
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    for number, shape in enumerate(responses):
        (rooms / f"{number}.wav").write_bytes(wav(0.5 * np.ones(shape)))
    archive = DATA_SETS["bach10"].write(tmp_path, bach10_files(0.5))
    options = ["--rooms", str(rooms), "--only", "01-", "--out", str(tmp_path / "data")]
    assert DATA_SETS["bach10"].main([str(archive), *options]) == 2
    assert expected in only_line(capsys)


def test_stems_of_different_lengths_and_names_that_fall_together(tmp_path, capsys):
    files = bach10_files(0.5)
    name = "Bach10_v1.1/01-AchGottundHerr/01-AchGottundHerr-violin.wav"
    archive = DATA_SETS["bach10"].write(tmp_path, files | {name: wav(tones("Violin", 1))})
    assert DATA_SETS["bach10"].main([str(archive), "--out", str(tmp_path / "data")]) == 2
    assert (
        "01-AchGottundHerr-bassoon.wav: lasts 0.50 s, but another stem lasts 1.00 s"
        in only_line(capsys)
    )
    names = ("AltoSaxophone", "violin 2", "Cello", "Cello_1", "Cello_2", "Violin_3", "Tuba")
    assert [part_label(x) for x in names] == [
        "Sax", "Violin_2", "Cello", "Cello", None, None, None,
    ]  # fmt: skip


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here")


@needs_ffmpeg
def test_musdb18_is_read_through_ffmpeg(tmp_path, capsys):
    """Each of the five sounds has a pitch of its own; AAC keeps it."""
    pitches = {"mixture": 200.0, "drums": 300.0, "bass": 400.0, "other": 500.0, "vocals": 600.0}
    time = np.arange(44100) / 44100
    sources = {
        name: 0.1 * np.sin(2 * np.pi * pitch * time) * np.ones((2, 1))
        for name, pitch in pitches.items()
    }
    song = tmp_path / "musdb18" / "test" / "Al James - Schoolboy Facination.stem.mp4"
    write_stem_mp4(song, sources)
    for number, pitch in enumerate(pitches.values()):
        signal, rate_hz = read_stream(song, number)
        assert rate_hz == 44100
        assert signal.shape[0] == 2
        spectrum = np.abs(np.fft.rfft(signal[0]))
        assert np.fft.rfftfreq(signal.shape[1], 1 / rate_hz)[spectrum.argmax()] == pytest.approx(
            pitch, abs=2
        )
    main = DATA_SETS["musdb"].main
    options = [str(song.parents[1]), "--out", str(tmp_path / "data"), *ONE_PAIR]
    assert main([*options, "--as", "drums=Oboe", "vocals=Flute"]) == 0
    assert [set(x) for x in labels(tmp_path / "data", "test")] == [
        {"Oboe", "Flute", "Cello", "Viola"}
    ]
    song.write_bytes(song.read_bytes()[:2000])
    capsys.readouterr()
    assert main([options[0], "--out", str(tmp_path / "other")]) == 2
    assert all("ffmpeg: " in line for line in capsys.readouterr().err.splitlines())


def test_without_ffmpeg_a_line_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    archive = write_zip(tmp_path / "musdb18.zip", {"test/Song.stem.mp4": b"x"})
    assert DATA_SETS["musdb"].main([str(archive), "--out", str(tmp_path / "data")]) == 2
    assert "ffmpeg: not found" in only_line(capsys)
