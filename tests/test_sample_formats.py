"""A sound gives the same results in every sample format and container."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cmss import audio, listen
from cmss.errors import InputError
from metadata_tools import samples, validate
from tests.support.sounds import RATE_HZ, music
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import OFFICIAL_NAMES, TinyRun, write_metadata

LOSSLESS = [
    *((kind, sub) for kind in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU")
      for sub in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("CAF", "ALAC_16"), ("CAF", "ALAC_24"),
    ("MAT5", "DOUBLE"), ("IRCAM", "FLOAT"), ("NIST", "PCM_24"),
]  # fmt: skip
"""Containers and sample formats that hold 16 bits and more."""


def store(path: Path, signal: np.ndarray, kind: str, subtype: str, rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, signal, rate_hz, format=kind, subtype=subtype)
    return path


@pytest.mark.parametrize(("kind", "subtype"), LOSSLESS)
def test_sixteen_bits_are_the_integers_over_32768_in_every_format(tmp_path, kind, subtype):
    signal = music()
    signal[:4] = [[-1, 32767 / 32768], [0, -1 / 32768], [1 / 32768, -1], [0.5, 0]]
    path = store(tmp_path / "a", signal, kind, subtype)
    whole, rate_hz = audio.read_sound(path)
    assert (whole.dtype, rate_hz) == (np.float32, RATE_HZ)
    np.testing.assert_array_equal(whole, signal.T)
    np.testing.assert_array_equal(audio.read_stereo(path)[0], signal.T)
    part = audio.read_excerpt(audio.Excerpt(path, 0.1, 0.2), RATE_HZ)
    np.testing.assert_array_equal(part, signal.T[:, int(0.1 * RATE_HZ) : int(0.3 * RATE_HZ)])


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_U8"), ("AIFF", "PCM_S8"), ("W64", "PCM_U8"), ("WAV", "FLOAT")],
)
def test_eight_bits(tmp_path, kind, subtype):
    signal = np.floor(128 * music()) / 128
    path = store(tmp_path / "a", signal, kind, subtype)
    np.testing.assert_array_equal(audio.read_sound(path)[0], signal.T)


def test_twenty_four_bits_are_not_rounded(tmp_path):
    signal = music() + np.random.default_rng(2).integers(-128, 128, music().shape) / 2**23
    for kind, subtype in (
        ("WAV", "PCM_24"),
        ("FLAC", "PCM_24"),
        ("AIFF", "PCM_32"),
        ("WAV", "FLOAT"),
    ):
        path = store(tmp_path / f"{kind}_{subtype}", signal, kind, subtype)
        np.testing.assert_array_equal(audio.read_sound(path)[0], signal.T)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_beyond_full_scale_are_kept_and_named_once(tmp_path, capsys, subtype):
    signal = music()
    signal[100:103, 0] = 1.5, -2.5, 1.0
    signal[-1, 0] = 1.25
    path = store(tmp_path / "loud.wav", signal, "WAV", subtype)
    for _ in range(2):
        np.testing.assert_array_equal(audio.read_sound(path)[0], np.float32(signal.T))
        audio.read_excerpt(audio.Excerpt(path, 0, 0.1), RATE_HZ)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: 3 samples beyond full scale, the largest 2.5;")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_what_is_not_finite_is_refused_by_all_readers(tmp_path, value, subtype):
    signal = music()
    signal[5000, 1] = value
    path = store(tmp_path / "a.wav", signal, "WAV", subtype)
    for read in (
        audio.read_sound,
        audio.read_stereo,
        lambda path: audio.read_excerpt(audio.Excerpt(path, 0.1, 0.2), RATE_HZ),
    ):
        with pytest.raises(InputError, match=r"a\.wav: the signal contains NaN or infinity"):
            read(path)


# With the commands.

AUDIOGRAM = {
    "audiogram_cfs": [250, 500, 1000, 2000, 4000, 8000],
    "audiogram_levels_l": [20, 20, 30, 45, 60, 70],
    "audiogram_levels_r": [25, 20, 35, 45, 65, 70],
}


@pytest.mark.parametrize(
    ("signal", "problem"),
    [
        (1e25 * music(), "expected -1 to 1 (full scale)"),
        (32768 * music(), "if these are integers stored as floats"),
        (
            np.where(np.arange(22050) == 7, np.nan, music().T).T,
            "the signal contains NaN or infinity",
        ),
        (1e300 * music(), "the signal contains NaN or infinity"),
    ],
)
def test_absurd_samples_are_refused_for_what_they_are(tmp_path, capsys, signal, problem):
    path = store(tmp_path / "a.wav", signal, "WAV", "DOUBLE")
    (tmp_path / "me.json").write_text(json.dumps(AUDIOGRAM))
    arguments = [path, "--instruments", "Violin", "--gains", "3", "--audiogram",
                 tmp_path / "me.json", "-o", tmp_path / "out.flac"]  # fmt: skip
    assert listen.main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: ")
    assert problem in line

    (tmp_path / "in" / "Violin").mkdir(parents=True)
    note = Path(shutil.copy(path, tmp_path / "in" / "Violin" / "A4.wav"))
    assert samples.main(["--samples", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"samples: {note}: ")
    assert problem in line


FORMATS = [
    ("WAV", "FLOAT"), ("AIFF", "DOUBLE"), ("CAF", "PCM_32"), ("W64", "FLOAT"), ("FLAC", "PCM_24"),
    ("AU", "FLOAT"), ("RF64", "DOUBLE"),
]  # fmt: skip


def tiny(root: Path) -> TinyChallenge:
    """Two tracks, one pair each."""
    root.mkdir(parents=True)
    made = TinyChallenge(root)
    made.files["scene_listeners_file"] = {"S50001": ["L5001"], "S50002": ["L5001"]}
    write_metadata(made)
    return made


@pytest.fixture(scope="module")
def folders(server, tmp_path_factory):
    """The same data as 16-bit FLAC, and with each file in another format; a run on each."""
    runs = {}
    for name in ("plain", "mixed"):
        folder = tmp_path_factory.mktemp(name)
        made = tiny(folder / "data")
        if name == "mixed":
            entries = [e for track in made.files["music_file"].values() for e in track.values()]
            for entry, (kind, subtype) in zip(entries, FORMATS, strict=True):
                path = made.audio(entry["track"])
                store(path.with_suffix(f".{kind.lower()}"), soundfile.read(path)[0], kind, subtype)
                entry["track"] = str(Path(entry["track"]).with_suffix(f".{kind.lower()}"))
                if kind != "FLAC":
                    path.unlink()
            write_metadata(made)
        runs[name] = TinyRun(server, folder)
    return runs


def test_enhanced_files_and_scores_do_not_depend_on_the_format(folders):
    decoded, scores = [], []
    for run in folders.values():
        run.succeed("enhance", "evaluate")
        files = sorted(run.exp.rglob("*_remix.flac"))
        assert len(files) == 2
        decoded.append([soundfile.read(path, dtype="int16")[0] for path in files])
        scores.append((run.exp / "scores.csv").read_text())
    for plain, mixed in zip(*decoded, strict=True):
        assert plain.any()
        np.testing.assert_array_equal(plain, mixed)
    assert scores[0] == scores[1]


def test_validate_reads_the_same_in_every_format(folders, capsys):
    printed = []
    for run in folders.values():
        assert validate.main([str(run.folder / "data")]) == 0
        printed.append(capsys.readouterr())
    assert printed[0] == printed[1]
    assert "silent" not in printed[0].err


def test_a_stage_names_the_float_file_that_is_not_finite(server, tmp_path):
    made = tiny(tmp_path / "data")
    entry = made.files["music_file"]["duet"]["mixture"]
    signal = soundfile.read(made.audio(entry["track"]))[0]
    signal[RATE_HZ // 4, 0] = np.nan
    entry["track"] = "duet/Mixture.wav"
    path = store(made.audio(entry["track"]), signal, "WAV", "FLOAT")
    write_metadata(made)
    assert OFFICIAL_NAMES["music_file"] == "music.valid.json"
    done = TinyRun(server, tmp_path).call("enhance")
    assert done.status == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"{path.relative_to(tmp_path)}: the signal contains NaN or infinity")
