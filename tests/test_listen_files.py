"""`python -m cmss.listen`: several recordings, formats, levels, stems and kept stems."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cmss.audio import loudness_lufs, read_header, read_sound, true_peak
from cmss.listen import listening, main
from cmss.separators.listing import stored

RATE_HZ = 44100
LEVELS = "20,20,30,45,60,70"


class HighAndLow:
    """Separator that gives the first player the differences of samples, the second the rest."""

    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.weights: dict[str, str] = {}
        self.calls = 0

    def prepare(self, sources):
        pass

    def separate(self, mixture, sources):
        self.calls += 1
        first = np.diff(mixture, prepend=mixture[:, :1])
        return dict(zip(sources, (first, mixture - first), strict=True))


@pytest.fixture
def separator(monkeypatch) -> HighAndLow:
    one = HighAndLow()
    monkeypatch.setattr(listening, "build_separator", lambda *_: one)
    monkeypatch.setattr(listening, "png", lambda _: b"a picture")  # drawing takes a second
    return one


def recording(path: Path, seconds: float = 1.0, seed: int = 0, level: float = 0.1) -> Path:
    signal = level * np.random.default_rng(seed).standard_normal((int(seconds * RATE_HZ), 2))
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, signal, RATE_HZ, "FLOAT", format="WAV")
    return path


def call(recordings, out, *more, gains=("6", "-3"), audiogram=LEVELS) -> int:
    paths = [str(path) for path in recordings]
    return main([*paths, "--instruments", "Violin", "violin", "--gains", *gains,
        "--audiogram", str(audiogram), "-o", str(out), *more])  # fmt: skip


def lufs(path: Path) -> float:
    return loudness_lufs(*read_sound(path))


@pytest.mark.parametrize("audiogram", [LEVELS, "0,0,0,0,0,0", "-5,0,10,120,20,0"])
@pytest.mark.parametrize(("level", "gains"), [(0.3, ("6", "-3")), (1e-3, ("-20", "0"))])
@pytest.mark.usefixtures("separator")
def test_output_and_recording_have_the_same_comfortable_level(tmp_path, level, gains, audiogram):
    mixture = recording(tmp_path / "a.wav", 2.0, level=level)
    out = tmp_path / "out.wav"
    assert call([mixture], out, "--subtype", "float", gains=gains, audiogram=audiogram) == 0
    assert lufs(out) == pytest.approx(-23, abs=0.01)
    assert lufs(tmp_path / "out_before.wav") == pytest.approx(-23, abs=0.01)


@pytest.mark.usefixtures("separator")
def test_peaks_lower_the_level_of_all_files_instead_of_clipping(tmp_path, capsys):
    mixture = recording(tmp_path / "a.wav", 2.0, level=1e-3)
    signal, _ = soundfile.read(mixture)
    signal[20_000] = 1.0
    soundfile.write(mixture, signal, RATE_HZ)
    out = tmp_path / "out.flac"
    assert call([mixture], out, "--stems", "--subtype", "24") == 0
    names = ("out", "out_before", "out_Violin_1", "out_Violin_2")
    sounds = {name: read_sound(tmp_path / f"{name}.flac")[0] for name in names}
    peaks = {name: true_peak([sound], RATE_HZ) for name, sound in sounds.items()}
    # -1 dBTP, and rounding to 24 bits.
    assert max(peaks.values()) == pytest.approx(10 ** (-1 / 20), abs=1e-5)
    assert lufs(out) == pytest.approx(lufs(tmp_path / "out_before.flac"), abs=0.01)
    assert f"{lufs(out):.1f} LUFS" in capsys.readouterr().out
    # Each of the three files is rounded to 24 bits.
    both = sounds["out_Violin_1"] + sounds["out_Violin_2"]
    np.testing.assert_allclose(both, sounds["out_before"], atol=3e-7)


@pytest.mark.parametrize(
    ("name", "more", "format_", "subtype", "rate_hz"),
    [
        ("o.flac", [], "FLAC", "PCM_16", 44100),
        ("o.FLAC", ["--subtype", "24"], "FLAC", "PCM_24", 44100),
        ("o.wav", [], "WAV", "PCM_16", 44100),
        ("o.wav", ["--subtype", "24"], "WAV", "PCM_24", 44100),
        ("o.wav", ["--subtype", "float"], "WAV", "FLOAT", 44100),
        ("o.mp3", [], "MP3", "MPEG_LAYER_III", 44100),
        ("o.ogg", [], "OGG", "VORBIS", 44100),
        ("o.opus", [], "OGG", "OPUS", 48000),
    ],
)
@pytest.mark.usefixtures("separator")
def test_the_suffix_chooses_the_format(tmp_path, name, more, format_, subtype, rate_hz):
    # Encoders of lossy formats keep tones better than noise.
    mixture, time_s = tmp_path / "a.wav", np.arange(3 * RATE_HZ) / RATE_HZ
    tones = [0.05 * np.sin(2 * np.pi * hertz * time_s) for hertz in (220, 440, 660, 880)]
    soundfile.write(mixture, np.transpose([sum(tones), sum(tones[:2])]), RATE_HZ)
    assert call([mixture], tmp_path / "o.wav", "--subtype", "float") == 0
    expected = lufs(tmp_path / "o.wav")
    assert call([mixture], tmp_path / name, *more) == 0
    for written in (tmp_path / name, tmp_path / name.replace("o.", "o_before.")):
        header = read_header(written)
        assert (header.format, header.subtype) == (format_, subtype)
        assert (header.channels, header.sample_rate_hz) == (2, rate_hz)
        # An encoder of a lossy format adds a few thousand samples at most.
        assert 0 <= header.samples / rate_hz - 3 < 0.1
        assert lufs(written) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("name", ["a.mp3", "a.opus", "a.ogg"])
@pytest.mark.usefixtures("separator")
def test_sample_formats_that_a_format_does_not_have(tmp_path, capsys, name):
    mixture = recording(tmp_path / "in.wav")
    assert call([mixture], tmp_path / name, "--subtype", "24") == 2
    assert capsys.readouterr().err.startswith(f"-o {tmp_path / name}: sample format 24: expected")
    assert call([mixture], tmp_path / "a.flac", "--subtype", "float") == 2
    assert "expected 16 or 24 for .flac" in capsys.readouterr().err


def test_a_folder_of_recordings_of_which_one_is_silent(tmp_path, separator, capsys):
    recordings = [recording(tmp_path / "takes" / f"{name}.wav", seed=3) for name in "cab"]
    soundfile.write(tmp_path / "takes" / "b.wav", np.zeros((RATE_HZ, 2)), RATE_HZ)
    (tmp_path / "takes" / "cover.jpg").write_bytes(b"no sound")
    (tmp_path / "takes" / ".hidden.wav").write_bytes(b"no sound")
    out = tmp_path / "new" / "out"
    assert call([tmp_path / "takes"], out, "--format", "ogg") == 2
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == [
        str(out / name) for name in ("a.ogg", "c.ogg")
    ]
    (line,) = said.err.splitlines()
    assert line.startswith(f"{tmp_path}/takes/b.wav: silent")
    assert sorted(path.name for path in out.iterdir()) == [
        *("a.ogg", "a.png", "a_before.ogg"),
        *("c.ogg", "c.png", "c_before.ogg"),
    ]
    assert separator.calls == 2
    assert call(recordings[:1] * 2, tmp_path / "once") == 0
    assert sorted(p.name for p in (tmp_path / "once").iterdir())[0] == "c.flac"


def test_files_that_cannot_be_used_are_reported_together_before_the_first(
    tmp_path, separator, capsys
):
    first, second = recording(tmp_path / "a" / "x.wav"), recording(tmp_path / "b" / "x.wav")
    other = recording(tmp_path / "a" / "x_before.wav")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.wav").write_text("no sound")
    cases = {
        (first, second): ("different names", "out"),
        (first, other): ("written twice", "out"),
        (tmp_path / "a",): ("the folder of the recordings", "a"),
        (tmp_path / "empty", first): ("empty: expected recordings", "out"),
        (first, tmp_path / "none.wav"): ("no such audio file", "out"),
        (first, other, first.parent): ("-o", "out.flac"),
        (first, tmp_path): ("text.wav: not a readable", "out"),
    }
    before = sorted(tmp_path.rglob("*"))
    for recordings, (expected, out) in cases.items():
        assert call(recordings, tmp_path / out) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line
    assert call([first], tmp_path / "o.flac", "--format", "mp3") == 2
    assert "--format: " in capsys.readouterr().err
    assert separator.calls == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_other_gains_need_no_separation(tmp_path, separator):
    mixture, keep = recording(tmp_path / "a.wav"), tmp_path / "kept" / "stems"

    def listened(name: str, *more, gains=("6", "-3"), separations: int) -> bytes:
        separator.calls = 0
        out = tmp_path / name
        assert call([mixture], out, *more, gains=gains) == 0
        assert separator.calls == separations
        return out.read_bytes()

    kept = ("--keep", str(keep))
    expected = [
        listened("1.flac", gains=gains, separations=1) for gains in (("12", "0"), ("0", "9"))
    ]
    assert listened("2.flac", *kept, gains=("12", "0"), separations=1) == expected[0]
    assert listened("2.flac", *kept, gains=("0", "9"), separations=0) == expected[1]
    assert listened("2.flac", *kept, gains=("12", "0"), separations=0) == expected[0]
    stem = next(keep.rglob("*.npy"))
    for damaged in (b"", stem.read_bytes()[:-4], None):
        stem.unlink()
        if damaged is not None:
            stem.write_bytes(damaged)
        assert listened("3.flac", *kept, gains=("12", "0"), separations=1) == expected[0]
    recording(mixture, seed=1)
    listened("4.flac", *kept, separations=1)
    (keep / "a").write_text("another file is left alone")
    assert call([mixture], tmp_path / "5.flac", "--keep", str(keep / "a")) == 2


def test_stems_that_are_not_finite_are_not_kept(tmp_path, separator, capsys, monkeypatch):
    def not_finite(mixture, sources):
        return {key: np.full_like(mixture, np.nan) for key in sources}

    monkeypatch.setattr(separator, "separate", not_finite)
    mixture, keep = recording(tmp_path / "a.wav"), tmp_path / "kept"
    for more in ((), ("--keep", str(keep))):
        assert call([mixture], tmp_path / "out.flac", *more) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{mixture}: ")
    assert not list(keep.iterdir())
    assert not (tmp_path / "out.flac").exists()


@pytest.mark.parametrize(
    ("more", "chosen"),
    [
        ([], "ensemble"),
        (["--quality", "best"], "ensemble"),
        (["--quality", "fast"], "multichannel_unet"),
        (["--separator", "nmf"], "nmf"),
        (["--separator", "ensemble"], "ensemble"),
    ],
)
def test_the_separator_that_the_options_choose(tmp_path, separator, monkeypatch, more, chosen):
    built = []
    monkeypatch.setattr(
        listening, "build_separator", lambda settings, _: built.append(settings) or separator
    )
    assert call([recording(tmp_path / "a.wav")], tmp_path / "out.flac", *more) == 0
    assert built[0]["name"] == chosen
    assert ("steps" in built[0]) == (chosen == "ensemble")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--separator", "oracle"], "--separator: 'oracle', expected one of ensemble, "),
        (["--separator", "Nmf"], "did you mean nmf?"),
        (["--separator", "module"], "separator.checkpoint: missing"),
        (["--separator", "passthrough", "--stems"], "passthrough does not estimate stems"),
    ],
)
def test_separators_that_cannot_be_used(tmp_path, capsys, more, expected):
    assert call([recording(tmp_path / "a.wav")], tmp_path / "out.flac", *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert not (tmp_path / "out.flac").exists()


@pytest.mark.usefixtures("separator")
def test_levels_and_a_file_with_the_same_levels_give_equal_bytes(tmp_path, capsys):
    mixture, me = recording(tmp_path / "a.wav"), tmp_path / "20,30"
    values = [int(level) for level in LEVELS.split(",")]
    frequencies = [250, 500, 1000, 2000, 4000, 8000]
    me.write_text(f'{{"audiogram_cfs": {frequencies}, "audiogram_levels_l": {values}, '
        f'"audiogram_levels_r": {values}}}')  # fmt: skip
    assert call([mixture], tmp_path / "a.flac") == 0
    assert call([mixture], tmp_path / "b.flac", audiogram=me) == 0
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()
    capsys.readouterr()
    for audiogram, more, expected in (
        ("20,20,30", (), "got 3 levels"),
        ("20,20,30,45,60,700", (), "audiogram levels"),
        (LEVELS, ("--listener", "L1"), "--listener: "),
        (f"{LEVELS},x", (), "no such file"),
    ):
        assert call([mixture], tmp_path / "c.flac", *more, audiogram=audiogram) == 2
        assert expected.lower() in capsys.readouterr().err.lower()


def program(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / "ffmpeg"
    path.write_text(f"#!{shutil.which('sh')}\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("name", ["a song.m4a", "-film.MP4", "x.webm"])
@pytest.mark.usefixtures("separator")
def test_other_formats_are_decoded_by_ffmpeg(tmp_path, monkeypatch, capsys, name):
    """A program in place of ffmpeg copies its input, a WAV file, to its output."""
    monkeypatch.chdir(tmp_path)
    sound = recording(tmp_path / name)
    recording(tmp_path / "a.wav")
    bin_ = tmp_path / "bin"
    # The options end with: -i file:INPUT -map ... file:OUTPUT.
    program(bin_, 'for word; do last=$word; done; cp -- "${5#file:}" "${last#file:}"')
    monkeypatch.setenv("PATH", f"{bin_}:{Path(shutil.which('cp')).parent}")
    assert call([sound], "decoded.flac") == 0
    assert call(["a.wav"], "direct.flac") == 0
    assert Path("decoded.flac").read_bytes() == Path("direct.flac").read_bytes()
    capsys.readouterr()
    program(bin_, "echo something; echo moov atom not found >&2; exit 1")
    assert call([sound], "failed.flac") == 2
    assert capsys.readouterr().err == f"{sound}: ffmpeg cannot decode it: moov atom not found\n"
    program(bin_, 'for word; do last=$word; done; echo text > "${last#file:}"')
    assert call([sound], "failed.flac") == 2
    assert capsys.readouterr().err.startswith(f"{sound}: not a readable sound file")
    program(bin_, "echo write: No space left on device >&2; exit 1")
    assert call([sound], "failed.flac") == 1
    assert "No space left on device" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert call([sound, tmp_path / "none.mp4"], "failed") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert f"{sound}: {sound.suffix} files require the program ffmpeg, which is missing" in lines[0]
    assert not Path("failed.flac").exists()


def test_the_help_needs_no_large_library():
    code = (
        "import sys, cmss.listen\ntry:\n    cmss.listen.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'hydra', 'pandas', 'matplotlib', 'numba'} & sys.modules.keys())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "set()"
    measured = stored()["measured"]["rendered"]["meta"]["consistent"]
    assert f"SDR {measured['sdr_db']} dB" in " ".join(ended.stdout.split())
