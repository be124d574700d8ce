"""`python -m cmss.listen`: recordings, gains, audiograms and messages."""

import errno
import json
import os
import re
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from cmss.audio import loudness_lufs, read_header
from cmss.errors import InputError
from cmss.listen import listening, main
from cmss.listen.processing import (
    HEADROOM_DB,
    SAMPLE_RATE_HZ,
    amplified,
    read_mixture,
    separate,
)
from cmss.listen.scene import make_listener, make_scene
from cmss.machine import memory
from cmss.machine import pieces as in_pieces
from cmss.run.configuration import (
    build_hearing_aid,
    default_hearing_aid,
    default_separator,
    plain,
)
from cmss.scenes import Listener
from cmss.separators import blocks
from tests.support.played_set import configuration

ME = {
    "audiogram_cfs": [250, 500, 1000, 2000, 4000, 8000],
    "audiogram_levels_l": [20, 20, 30, 45, 60, 70],
    "audiogram_levels_r": [25, 20, 35, 45, 65, 70],
}


class EqualShares:
    """Separator that gives each player the same part of the mixture and records its length."""

    def __init__(self) -> None:
        self.sample_rate_hz = SAMPLE_RATE_HZ
        self.weights: dict[str, str] = {}
        self.samples: list[int] = []

    def prepare(self, sources):
        pass

    def separate(self, mixture, sources):
        self.samples.append(mixture.shape[-1])
        return {key: mixture / np.float32(len(sources)) for key in sources}


@pytest.fixture
def me(tmp_path) -> str:
    (tmp_path / "me.json").write_text(json.dumps(ME))
    return str(tmp_path / "me.json")


class ByChannel(EqualShares):
    """Separator that gives the first player the left channel, the second the right."""

    def separate(self, mixture, sources):
        return {key: mixture * one for key, one in zip(sources, np.eye(2)[..., None], strict=True)}


class NeverCalled(EqualShares):
    """Separator that must not be called: inputs are refused before the separation."""

    def separate(self, *_):
        pytest.fail("separated before all was checked")


def recording(path, rate_hz: int = 48000, channels: int = 2, seconds: float = 1.0, **kind) -> str:
    rng = np.random.default_rng(1)
    signal = 0.1 * rng.standard_normal((int(seconds * rate_hz), channels))
    soundfile.write(path, signal, rate_hz, **kind)
    return str(path)


def call(mixture: str, audiogram: str, out, *more: str, gains=("6", "-3")) -> int:
    return main([str(mixture), "--instruments", "Violin", "cello", "--gains", *gains,
        "--audiogram", audiogram, "-o", str(out), *more])  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "kind"),
    [
        ("a.wav", 48000, 2, {}),
        ("a.wav", 44100, 1, {"subtype": "FLOAT"}),
        ("a.flac", 22050, 2, {"subtype": "PCM_24"}),
    ],
)
def test_any_recording(tmp_path, me, capsys, name, rate_hz, channels, kind):
    mixture = recording(tmp_path / name, rate_hz, channels, **kind)
    assert call(mixture, me, tmp_path / "out.flac") == 0
    header = read_header(tmp_path / "out.flac")
    assert (header.format, header.channels, header.sample_rate_hz) == ("FLAC", 2, SAMPLE_RATE_HZ)
    assert header.samples == pytest.approx(SAMPLE_RATE_HZ, abs=1)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.format == "PNG"
    assert f"as loud as {tmp_path}/out_before.flac" in capsys.readouterr().out


def test_the_mixture_is_at_the_level_of_the_hearing_aid(tmp_path):
    mixture, _ = read_mixture(tmp_path / recording(tmp_path / "a.wav"))
    assert loudness_lufs(mixture, SAMPLE_RATE_HZ) == pytest.approx(-40, abs=0.01)


def test_system_is_the_default_of_the_stages(tmp_path):
    config = configuration(tmp_path)
    separator, default = plain(config.separator), default_separator()
    assert {key: separator[key] for key in default} == default
    assert build_hearing_aid(config) == default_hearing_aid(SAMPLE_RATE_HZ)
    assert config.remix == {"name": "consistent", "trust": 1.0}


def test_a_long_recording_is_cut_without_a_seam(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_S", 0.5)
    monkeypatch.setattr(blocks, "CROSS_FADE_S", 0.1)
    mixture = np.random.default_rng(1).standard_normal((2, 100_001)).astype(np.float32)
    scene = make_scene(Path("a.wav"), ["Flute", "Oboe"], [0, 0])
    separator = EqualShares()
    stems = separate(separator, mixture, scene.track)
    assert len(separator.samples) == 6
    assert max(separator.samples) <= SAMPLE_RATE_HZ // 2
    for stem in stems.values():
        # float32, and the windows' sum divided by itself.
        np.testing.assert_allclose(stem, mixture / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("rate_hz", "channels", "gains"), [(48000, 2, "6 -3"), (8000, 1, "-90 -9")]
)
@pytest.mark.parametrize(("piece", "on_disk"), [(1_000, False), (7_919, True)])
def test_short_pieces_and_arrays_on_disk_change_no_byte(
    tmp_path, me, monkeypatch, rate_hz, channels, gains, piece, on_disk
):
    """Most of the recording is soft, so that both gates of the loudness exclude blocks."""
    rng = np.random.default_rng(4)
    signal = 0.3 * rng.standard_normal((2 * rate_hz, channels))
    signal[: len(signal) // 2] *= 1e-3
    soundfile.write(tmp_path / "a.wav", signal, rate_hz, "FLOAT")
    monkeypatch.setattr(listening, "build_separator", lambda *_: ByChannel())
    assert call(tmp_path / "a.wav", me, tmp_path / "whole.flac", gains=gains.split()) == 0
    monkeypatch.setattr(in_pieces, "PIECE", piece)
    if on_disk:
        monkeypatch.setattr(memory, "IN_MEMORY", 0)
    assert call(tmp_path / "a.wav", me, tmp_path / "pieces.flac", gains=gains.split()) == 0
    for suffix in ("flac", "png"):
        written = [(tmp_path / f"{name}.{suffix}").read_bytes() for name in ("whole", "pieces")]
        assert written[0] == written[1]


def test_an_instrument_named_twice_has_two_players():
    scene = make_scene(Path("a.wav"), ["violin", "Cello", "VIOLIN"], [1, 2, 3])
    players = [(source.instrument, source.voice) for source in scene.track.sources.values()]
    assert players == [("Violin", 1), ("Cello", None), ("Violin", 2)]
    assert list(scene.gains_db.values()) == [1, 2, 3]


def test_gains_reach_the_listener(me):
    listener: Listener = make_listener(me)
    mixture = 0.005 * np.random.default_rng(1).standard_normal((2, 20_000)).astype(np.float32)

    def ears(*gains):
        scene = make_scene(Path("a.wav"), ["Flute", "Oboe"], gains)
        stems = EqualShares().separate(mixture, scene.track.sources)
        return amplified(mixture, stems, scene, listener)

    # Equal gains are no change, by the level factor; the estimates sum to the mixture, in float32.
    np.testing.assert_allclose(ears(6, 6), ears(0, 0), atol=1e-6)
    assert not np.allclose(ears(6, -6), ears(0, 0), atol=1e-3)


@pytest.mark.parametrize("gain_db", [-40, -95])
def test_those_who_are_not_named_are_not_raised_beyond_the_headroom(tmp_path, gain_db):
    """The only named player is in the left channel, all other instruments are in the right."""
    mixture, _ = read_mixture(Path(recording(tmp_path / "a.wav", 44100)))
    scene = make_scene(Path("a.wav"), ["Violin"], [gain_db])
    stems = {"Violin": mixture * np.array([[1], [0]], np.float32)}
    ears = amplified(mixture, stems, scene, make_listener("0,0,0,0,0,0"))
    # The hearing aid has no gain; a tenth is for attack and release.
    assert loudness_lufs(ears, SAMPLE_RATE_HZ) == pytest.approx(-40 + HEADROOM_DB, abs=0.1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "malformed JSON"),
        ("{}", "audiogram_cfs: key missing"),
        (json.dumps(ME | {"audiogram_levels_l": [1]}), "1 values, expected 6"),
        (json.dumps(ME | {"audiogram_cfs": ["low"] * 6}), "audiogram_cfs"),
        (json.dumps({"L1": ME, "L2": ME}), "expected a listener of this file (L1, L2), got None"),
    ],
)
def test_a_broken_audiogram_is_told(tmp_path, capsys, text, told):
    (tmp_path / "me.json").write_text(text)
    mixture = recording(tmp_path / "a.wav")
    assert call(mixture, str(tmp_path / "me.json"), tmp_path / "out.flac") == 2
    error = capsys.readouterr().err
    assert told in error
    assert "me.json" in error
    assert not (tmp_path / "out.flac").exists()


def test_one_of_several_listeners(tmp_path):
    (tmp_path / "all.json").write_text(json.dumps({"L1": ME, "L2": ME | {"name": "L2"}}))
    listener = make_listener(str(tmp_path / "all.json"), "L2")
    assert (listener.id, listener.right.audiogram.levels_db[-1]) == ("L2", 70)


def test_what_else_cannot_be_used_is_told_in_a_line(tmp_path, me, capsys):
    mixture, out = recording(tmp_path / "a.wav"), tmp_path / "out.flac"
    soundfile.write(tmp_path / "silent.wav", np.zeros((44100, 2)), 44100)
    soundfile.write(tmp_path / "nan.wav", np.full((44100, 2), np.nan), 44100, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("not a sound")
    refused = {
        (mixture, "out.m4a"): "-o",
        (mixture, "a.wav"): "-o",
        (str(tmp_path / "silent.wav"), "out.flac"): "silent",
        (str(tmp_path / "nan.wav"), "out.flac"): "NaN",
        (str(tmp_path / "text.wav"), "out.flac"): "not a readable sound file",
        (str(tmp_path / "none.wav"), "out.flac"): "no such audio file",
        (recording(tmp_path / "short.wav", seconds=0.3), "out.flac"): "expected at least 0.4 s",
        (recording(tmp_path / "five.wav", channels=5), "out.flac"): "5 channels",
    }
    for (sound, name), told in refused.items():
        assert call(sound, me, tmp_path / name) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line
    assert call(mixture, me, out, gains=("nan",)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["--gains", "--gains"]
    assert not out.exists()
    assert call("none.wav", "none.json", out, gains=("1",)) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in told] == ["none.json", "--gains", "none.wav"]
    with pytest.raises(InputError, match=r"expected names from Bassoon, .*, got 'Harp'"):
        make_scene(out, ["Harp"], [0])


@pytest.fixture
def by_channel(monkeypatch):
    monkeypatch.setattr(listening, "build_separator", lambda *_: ByChannel())
    monkeypatch.setattr(listening, "png", lambda _: b"a picture")  # drawing takes a second


@pytest.fixture
def unseparated(monkeypatch):
    monkeypatch.setattr(listening, "build_separator", lambda *_: NeverCalled())


@pytest.fixture
def unaided(tmp_path) -> str:
    """An audiogram without loss, for which the hearing aid adds no gain."""
    path = tmp_path / "unaided.json"
    zeros = {"audiogram_levels_l": [0] * 6, "audiogram_levels_r": [0] * 6}
    path.write_text(json.dumps(ME | zeros))
    return str(path)


@pytest.mark.parametrize("minus_infinity", ["-inf", "-Infinity", "-INF", " -inf", "-2e2"])
@pytest.mark.usefixtures("by_channel")
def test_a_muted_player_is_silent_and_the_other_is_not(tmp_path, unaided, minus_infinity):
    out = tmp_path / "out.flac"
    assert call(recording(tmp_path / "a.wav"), unaided, out, gains=("0", minus_infinity)) == 0
    left, right = soundfile.read(out)[0].T
    assert np.abs(left).max() > 0.01
    assert not right.any()


@pytest.mark.parametrize(
    ("gains", "same"), [(("-.5", "-1E+1"), ("-0.5", "-10")), (("-5.", "+3"), ("-5", "3"))]
)
@pytest.mark.usefixtures("by_channel")
def test_numbers_in_every_form_are_values(tmp_path, unaided, gains, same):
    mixture = recording(tmp_path / "a.wav")
    for name, numbers in (("a", gains), ("b", same)):
        assert call(mixture, unaided, tmp_path / f"{name}.flac", gains=numbers) == 0
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        (("-201", "0"), "--gains: expected -200 to 200 dB, got -201"),
        (("0", "1e3"), "--gains: expected -200 to 200 dB, got 1000"),
        (("inf", "-inf"), "--gains: expected -200 to 200 dB, got inf"),
        (("0", "-nan"), "--gains: expected -200 to 200 dB, got nan"),
        (("-inf", "-inf"), "--gains: every player is muted"),
        (("-120", "-inf"), "--gains: every player is muted"),
    ],
)
@pytest.mark.usefixtures("unseparated")
def test_absurd_gains_are_refused_at_once(tmp_path, me, capsys, gains, expected):
    out = tmp_path / "out.flac"
    assert call(recording(tmp_path / "a.wav"), me, out, gains=gains) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(expected)
    assert not out.exists()


@pytest.mark.parametrize("word", ["-3dB", "loud", "-", "-x"])
@pytest.mark.usefixtures("unseparated")
def test_gains_that_are_no_numbers(tmp_path, me, capsys, word):
    with pytest.raises(SystemExit) as end:
        call(recording(tmp_path / "a.wav"), me, tmp_path / "out.flac", gains=("0", word))
    assert end.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("unseparated")
def test_the_output_is_checked_before_the_separation(tmp_path, me, capsys):
    mixture = recording(tmp_path / "a.wav")
    flac = recording(tmp_path / "b.flac")
    (tmp_path / "folder.flac").mkdir()
    (tmp_path / "pictured.png").mkdir()
    (tmp_path / "sound.png").hardlink_to(mixture)
    (tmp_path / "link.flac").symlink_to(flac)
    (tmp_path / "twin.flac").hardlink_to(flac)
    os.mkfifo(tmp_path / "pipe.flac")
    before = sorted(tmp_path.rglob("*"))
    refused = {
        (mixture, "out"): "ends in .flac",
        (mixture, ".flac"): "ends in .flac",
        (mixture, "."): "ends in .flac",
        (mixture, "folder.flac"): "is a folder",
        (mixture, "pictured.flac"): "pictured.png: is a folder",
        (mixture, "sound.flac"): "would replace the input",
        (mixture, "pipe.flac"): "exists and is not a regular file",
        (mixture, "a.wav/out.flac"): "a.wav is a file, expected a folder",
        (mixture, "a.wav/b/c/out.flac"): "a.wav is a file, expected a folder",
        (flac, "b.flac"): "would replace the input",
        (flac, "link.flac"): "would replace the input",
        (flac, "twin.flac"): "would replace the input",
    }
    for (sound, name), expected in refused.items():
        assert call(sound, me, tmp_path / name) == 2, name
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("-o")
        assert expected in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["n" * 240 + ".flac", "new/folders/" + "n" * 300 + ".flac"])
@pytest.mark.usefixtures("unseparated")
def test_what_the_system_refuses_is_found_before_the_separation(tmp_path, me, capsys, name):
    mixture = recording(tmp_path / "a.wav")
    before = sorted(tmp_path.rglob("*"))
    # The first name is allowed, but not that of the temporary file beside it.
    assert call(mixture, me, tmp_path / name) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "File name too long" in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("by_channel")
def test_a_picture_that_cannot_be_written_costs_no_sound(tmp_path, unaided, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out, picture = tmp_path / "new" / "out.flac", tmp_path / "new" / "out.png"
    monkeypatch.setattr(listening, "png", full)
    assert call(recording(tmp_path / "a.wav"), unaided, out) == 1
    written, failed = capsys.readouterr().err.splitlines()
    assert written.startswith(f"{out}: its loudest second")
    assert "No space left" in failed
    assert str(picture) in failed
    assert read_header(out).samples == pytest.approx(SAMPLE_RATE_HZ, abs=1)
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.flac", "out_before.flac"]


@pytest.mark.usefixtures("by_channel")
def test_a_sound_that_cannot_be_written_leaves_the_earlier_one(
    tmp_path, unaided, monkeypatch, capsys
):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out.flac"
    mixture = recording(tmp_path / "a.wav")
    assert call(mixture, unaided, out) == 0
    before = out.read_bytes(), out.with_suffix(".png").read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    assert call(mixture, unaided, out, gains=("0", "9")) == 1
    assert "No space left" in capsys.readouterr().err
    assert (out.read_bytes(), out.with_suffix(".png").read_bytes()) == before


@pytest.mark.usefixtures("unseparated")
def test_a_full_disk_for_long_signals_is_found_before_the_separation(
    tmp_path, me, monkeypatch, capsys
):
    mixture = recording(tmp_path / "a.wav")
    monkeypatch.setattr(memory, "IN_MEMORY", 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        assert call(mixture, me, tmp_path / "out.flac") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capsys.readouterr().err == f"{tempfile.gettempdir()}: File too large\n"
    assert not (tmp_path / "out.flac").exists()


@pytest.mark.parametrize(("amplitude", "seconds"), [(0.5, 2.5), (1e-3, 0.6), (0.02, 1.0)])
@pytest.mark.usefixtures("by_channel")
def test_the_rise_is_that_of_the_loudest_second_above_the_recording(
    tmp_path, unaided, capsys, amplitude, seconds
):
    rng = np.random.default_rng(2)
    signal = amplitude * rng.uniform(-1, 1, (int(seconds * SAMPLE_RATE_HZ), 2))
    signal[: len(signal) // 4] /= 10
    soundfile.write(tmp_path / "a.wav", signal, SAMPLE_RATE_HZ, "FLOAT")
    out = tmp_path / "out.flac"
    assert call(str(tmp_path / "a.wav"), unaided, out, gains=("0", "0")) == 0
    said = capsys.readouterr()
    number, way = re.search(r"loudest second is ([0-9.]+) dB (\w+)", said.out).groups()
    # The last second is the loudest; the hearing aid does not change it.
    levels_db = [
        10 * np.log10(np.mean(np.square(soundfile.read(path)[0][-SAMPLE_RATE_HZ:])))
        for path in (out, tmp_path / "a.wav")
    ]
    rise_db = levels_db[0] - levels_db[1]
    # Rounded to 0.1 dB; seconds begin at tenths, and what is left of a tenth has no more power.
    assert float(number) * (1 if way == "above" else -1) == pytest.approx(rise_db, abs=0.15)
    assert f"{tmp_path}/a.wav as recorded" in said.out
    assert ("turn the volume down" in said.err) == (rise_db > 20)


@pytest.mark.parametrize("rate_hz", [44, 11])
@pytest.mark.usefixtures("unseparated")
def test_a_recording_at_a_rate_in_khz(tmp_path, me, capsys, rate_hz):
    mixture = recording(tmp_path / "a.wav", rate_hz, seconds=5000)
    assert call(mixture, me, tmp_path / "out.flac") == 2
    assert f"looks like kHz, expected Hz: {rate_hz}000, got {rate_hz}" in capsys.readouterr().err
